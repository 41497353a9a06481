"""GET /: in one small page what answers here; GET /favicon.ico, which browsers ask for by themselves."""

from fastapi import APIRouter, Response

router = APIRouter(include_in_schema=False)

ICON = b"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">\
<rect width="16" height="16" rx="3" fill="#1f4e79"/>\
<path d="M4 4h8M4 8h8M4 12h5" stroke="#fff" stroke-width="2"/></svg>"""
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>ragpod</title>
<style>body { font: 1rem/1.5 sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem }</style>
<h1>ragpod</h1>
<p>Documents in, grounded and cited answers out. This address speaks the OpenAI API: give a client
<code>/v1</code> at this host as its base URL, and <code>ragpod</code> as the model.</p>
<ul>
<li><a href="docs">docs</a>: every route, with its fields</li>
<li><a href="ready">ready</a>: whether all parts are there; <a href="health">health</a>: whether the server is</li>
</ul>
<p lang="ko">문서를 올리면 그 문서에 근거해 출처와 함께 답합니다.
OpenAI 클라이언트에 이 주소의 <code>/v1</code>을 넣어 쓰세요.</p>
</html>
"""
HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'"}


@router.get("/")
async def front() -> Response:
    return Response(PAGE, headers=HEADERS, media_type="text/html")


@router.get("/favicon.ico")
async def icon() -> Response:
    return Response(ICON, headers={"Cache-Control": "max-age=86400"}, media_type="image/svg+xml")
