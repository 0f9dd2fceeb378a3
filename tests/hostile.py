"""Text that tries to be more than text, by what it tries: one table for all outputs."""

PAYLOADS = {
    "script": "<script>alert(1)</script>",
    "handler": "<img src=x onerror=alert(2)>",
    "leaves an element": "</script></style></textarea></title><svg onload=alert(3)>",
    "leaves an attribute": '" onmouseover="alert(4)" x=\'',
    "comment": "<!-- <script> -->",
    "entity": "&lt;b&gt; &amp; &#60;",
    "markdown link": "[read](javascript:alert(5)) <https://evil.example> https://evil.example/a",
    "markdown image": "![pixel](https://evil.example/p.png) ![a][b]",
    "markdown marks": "# *a* _b_ ~~c~~ `d` | e | $x^2$ @someone #1 :tada:",
    "latex": "\\input{/etc/passwd} \\write18{id} $x_1^2$ 100% & # _ { } ~ ^",
    "terminal colour": "\x1b[31mred\x1b[0m\x1b[2J\x07",
    "terminal link": "\x1b]8;;https://evil.example\x1b\\here\x1b]8;;\x1b\\",
    "terminal C1": "\x9b31m\x9d0;title\x9c",
    "formula": '=HYPERLINK("https://evil.example","a")',
    "formula plus": "+1+cmd|' /C calc'!A0",
    "formula minus": "-2+3+cmd|' /C calc'!A0",
    "formula at": "@SUM(1+1)*cmd",
    "right to left": "a\u202egnirts\u202c \u2066b\u2069 \u200f\u200e",
    "zero width": "a\u200bb\u200dc\ufeffd\u2060",
    "jinja": "{{ 7 * 7 }} {% raw %} {# c #} ${7*7}",
    "percent": "%s %d {0} %(name)s",
}
# What only text inside JSON can hold, and a table cannot.
MORE_IN_TEXT = {
    "NUL": "a\0b",
    "lone surrogate": "a\ud800b",
    "line ends": "a\rb\nc\u2028d\u2029e\x0bf\x85g",
    "tab formula": "\t=1+1",
    "return formula": "\r=1+1",
    "long line": "<b>" + "x" * 1_000_000 + "</b>",
}
# Characters that may move the cursor, hide or reorder: C0 but tab and newline, DEL, C1, format.
UNPRINTABLE = (
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
