"""A document's text as it may stand in a prompt: data to the model, whatever it says; pure.

What would end the document's part of the prompt or begin another goes: `<source>` blocks, the tokens of chat templates
(an engine's tokenizer reads `<|im_start|>` in a message as the token itself), calls and thoughts; and what would be
copied into an answer as a mark. Each keeps its words, and loses the bracket that made it act.
"""

import re
from collections.abc import Sequence

from models.base import Block
from models.quoting.marks import neutral
from models.quoting.structure import blocks

_TOKEN = re.compile(r"<([|｜][^\s|｜<>]{1,60}[|｜])>")  # <|im_start|>, <｜User｜>; not the operator of `f <| x`
_TAG = re.compile(
    r"<(?=\s*/?\s*sources?\b|/?(?:s|bos|eos|unk|pad|think|tools|tool_calls?|tool_response|start_of_turn|end_of_turn)>"
    r"|<\s*/?\s*SYS\s*>)",
    re.IGNORECASE,
)
_ROLE = re.compile(
    r"\[(/?\s*(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT)\s*)\]", re.IGNORECASE
)
_INLINE_CODE = re.compile(r"(?<!`)(`+)(?!`)[^\n]+?(?<!`)\1(?!`)")


def inert(text: str, known: Sequence[Block] = ()) -> str:
    """known: the text's blocks as its parser saw them; without them, its code is found in the text."""
    return neutral(harmless(text), _code(text, known) if "[" in text else ())


def harmless(text: str) -> str:
    """Without what acts in a prompt, character for character; marks stay.

    It comes first: `x.y[INST][2]` ends in a subscript, `x.y(INST)[2]` in a mark.
    """
    return _ROLE.sub(r"(\1)", _TAG.sub("‹", _TOKEN.sub(r"‹\1›", text)))


def _code(text: str, known: Sequence[Block]) -> list[tuple[int, int]]:
    own = [(block.start, block.end) for block in known or blocks(text) if block.kind == "code"]
    return own + [found.span() for found in _INLINE_CODE.finditer(text)]
