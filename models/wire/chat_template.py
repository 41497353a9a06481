"""SmolLM2's chat template, with tools: the same bytes without them; its own leaves them out without a word.

The format of Hermes and Qwen, which llama.cpp reads calls of. functions: tools to show where llama.cpp must not know of
any (models/wire/forced_call.py).
"""

SMOLLM2 = r"""{%- set shown = tools or functions %}
{%- if shown %}
{{- '<|im_start|>system\n' }}
{%- if messages[0].role == 'system' %}
{{- messages[0].content + '\n\n' }}
{%- endif %}
{{- '# Tools\n\nYou may call functions to help with the question. They are, within <tools></tools>:\n<tools>' }}
{%- for tool in shown %}
{{- '\n' }}
{{- tool | tojson }}
{%- endfor %}
{{- '\n</tools>\n\nA call is a JSON object within <tool_call></tool_call>:\n<tool_call>\n' }}
{{- '{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call><|im_end|>\n' }}
{%- elif messages[0].role == 'system' %}
{{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}
{%- else %}
{{- '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}
{%- endif %}
{%- for message in messages %}
{%- if message.role == 'tool' %}
{%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}
{{- '<|im_start|>user' }}
{%- endif %}
{{- '\n<tool_response>\n' + message.content + '\n</tool_response>' }}
{%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}
{{- '<|im_end|>\n' }}
{%- endif %}
{%- elif message.tool_calls %}
{{- '<|im_start|>assistant' }}
{%- if message.content %}
{{- '\n' + message.content }}
{%- endif %}
{%- for call in message.tool_calls %}
{%- if call.function is defined %}
{%- set call = call.function %}
{%- endif %}
{{- '\n<tool_call>\n{"name": "' }}
{{- call.name }}
{{- '", "arguments": ' }}
{{- call.arguments | tojson }}
{{- '}\n</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\n' }}
{%- elif message.role != 'system' or not loop.first %}
{{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\n' }}
{%- endif %}
"""
