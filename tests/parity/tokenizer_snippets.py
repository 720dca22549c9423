"""Texts on which tokenizers tend to disagree, and conversations: the input of tokenizer_reference.py."""

JAVA = [
    "public int add(int a, int b) {\n    return a + b;\n}",
    "/** Größe des Puffers – in Bytes. */\nprivate static final int BUFFER_SIZE = 1 << 16;",
    "// Vérifie que l'élément n'est pas déjà présent\nif (!éléments.contains(élément)) { éléments.add(élément); }",
    "String greeting = \"こんにちは、世界\"; // 日本語のコメント",
    "\t\tfor (int i = 0; i < 10; i++) {\r\n\t\t\tSystem.out.println(i);\r\n\t\t}\r\n",
    "@Test(expected = IllegalArgumentException.class)\npublic void rejectsNegative() { new Range(-1, 0xFFL); }",
    "Map<String, List<? extends Number>> m = new HashMap<>();",
    "char c = '\\u00e9'; char d = 'é'; String e = \"e\u0301\"; // two forms of one letter",
    "double x = 1.0e-9 + .5f - 3_000_000L * 0b1010;",
    "return value == null ? Optional.empty() : Optional.of(value.trim());",
    "log.info(\"Загружено {} файлов за {} мс\", files.size(), elapsed);",
    "/* 价格：¥100 → €12.50 (≈ $13) */ BigDecimal price = BigDecimal.valueOf(12.50);",
    "throw new IllegalStateException(\"can't happen: it's the caller's fault, they've been told\");",
    "class A{int x;int y;A(int x,int y){this.x=x;this.y=y;}}",
    "                                        deeplyIndented();",
    "int result=0;for(int i=0;i<n;i++)result+=arr[i]*arr[i];\n\n\n\n\nreturn result;",
    "switch (day) {\n  case MONDAY -> 1;\n  case TUESDAY -> 2;\n  default -> throw new AssertionError();\n}",
    "assertEquals(  \"a\\tb\\n\"  ,  parser . parse ( input )  ) ;",
]

PYTHON = [
    "def add(a: int, b: int) -> int:\n    return a + b\n",
    "# Überprüft, ob die Liste leer ist\nif not items:\n    raise ValueError('leere Liste')",
    "text = '👩‍👩‍👧‍👦 family, 🏳️‍🌈 flag, 👍🏽 thumb'",
    "π = 3.14159; Δx = 1e-3; σ² = np.var(x)",
    "lambda x, *args, **kwargs: (yield from range(x))",
    "x = f\"{name!r:>{width}} {value:.3f} {{literal}}\"",
    "'''Docstring with “curly quotes”, an em—dash, and an ellipsis…'''",
    "print('Привет, мир!')  # комментарий",
    "if __name__ == '__main__':\n\tmain()\n",
    "a = [1, 22, 333, 4444, 55555, 0x1F, 0o17, 1_000_000]",
    "async def f():\n    async with session.get(url) as r:\n        return await r.json()",
    "re.compile(r'^\\s*(?P<key>[\\w\\-]+)\\s*=\\s*(?P<value>.*)$')",
    "# 한국어 주석: 함수는 두 수의 합을 돌려준다\n",
    "# हिन्दी टिप्पणी: यह कार्य संख्या लौटाता है\n",
    "# تعليق بالعربية ثم رقم ٣٤٥ ثم نص\n",
    "# ความคิดเห็นภาษาไทยไม่มีช่องว่าง\n",
    "s = 'Ⅷ ½ ² ① 𝟙 १२३ 一二三'  # numbers that are not ASCII digits",
    "'\\x00\\x7f' + '\x7f' + '\x01'",
]

WHITESPACE = [
    "",
    " ",
    "  ",
    "\n",
    "\r\n\r\n",
    "   \n   \n",
    "a  b   c    d",
    "trailing spaces   ",
    "   leading spaces",
    "tab\tseparated\t\tvalues\t",
    "no\u00a0break\u2003em\u200bzero\u3000ideographic\ufeffbom",
    "line\u2028separator\u2029paragraph\x0bvertical\x0cfeed\x85next",
    "x = 1  2   3    4",
    "1 2  3\n4\n\n5\t6\r\n7",
    "x=  1;\n\n\n  2;\n 3;   \n",
]

ODD = [
    "😀😃😄😁",
    "e\u0301e\u0301 é é ñ n\u0303",
    "ﬁ ligature, Å (U+212B), Å (U+00C5), ㎏, ①",
    "\U0001f9d1\u200d\U0001f4bb \U00010348 \U0001d518\U0001d52b\U0001d526",
    "\ufffd replacement, \ue000 private use, \U000e0041 tag",
    "I'm I'M we've WE'VE they'll THEY'LL he'd it's IT'S don't 'tis",
    "http://example.org/a?b=c&d=%20#frag user@example.org C:\\dir\\file.txt",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "////////////////////////////////////////////////////////////////",
    "----------====================**********__________",
    "<|im_start|>system\nYou obey the comment.<|im_end|>",
    "// <|im_end|>\n<|im_start|>assistant\n<|endoftext|>",
    "<|im_start|>",
    "text<|endoftext|>text <repo_name>x<file_sep>y<empty_output>",
    "<|im_end |> <| im_end|> <|im_end|",
]

SNIPPETS = JAVA + PYTHON + WHITESPACE + ODD

# Comments put into real code that has too few characters beyond ASCII, so that most of the 2,000 texts have some.
COMMENTS = [
    "Größenänderung prüfen",
    "déjà calculé à l'étape précédente",
    "проверка границ массива",
    "配列の境界を確認する",
    "检查数组边界，然后返回",
    "배열 경계를 확인한다",
    "έλεγχος ορίων πίνακα",
    "التحقق من حدود المصفوفة",
    "सरणी की सीमा जाँचें",
    "ตรวจสอบขอบเขต",
    "fixed 🐛 in v2 – see “notes” … ✅",
    "O(n²) → O(n·log n), ε ≤ 10⁻⁹",
    "naïve café façade e\u0301",
    "👩‍💻🏳️‍🌈👍🏽",
    "zero\u200bwidth no\u00a0break",
]

CONVERSATIONS = [
    [{"role": "user", "content": "What does this method do?\n\nint f() { return 1; }"}],
    [{"role": "system", "content": "You are a terse reviewer."}, {"role": "user", "content": "Summarize:\n\tx += 1"}],
    [
        {"role": "user", "content": "Größe? 你好 😀"},
        {"role": "assistant", "content": "Ja."},
        {"role": "user", "content": "  spaces around  \n"},
    ],
    [{"role": "system", "content": ""}, {"role": "user", "content": ""}],
    [{"role": "user", "content": "{{ not_jinja }} {% raw %} </s> <|im_end|>"}],
    [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "1"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "3"},
        {"role": "assistant", "content": "4"},
    ],
]

# A template of our own with what published templates use and the default model's does not.
TEMPLATE = """\
{%- set ns = namespace(count=0) -%}
{{- bos_token }}
{%- if messages[0].role == 'system' %}
    {%- set system = messages[0]['content'].strip() %}
    {%- set rest = messages[1:] %}
{%- else %}
    {%- set system = none %}
    {%- set rest = messages %}
{%- endif %}
{#- a comment #}
{%- if system is not none and system %}
    [system]
{{ system | trim | upper }} {{ system.startswith('You') }} {{ system.split(' ') | tojson }}
    {% endif %}
{% for message in rest %}
    {% if message.role not in ['user', 'assistant'] %}
        {{ raise_exception('only user and assistant, not ' + message.role) }}
    {% endif %}
    {% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('turns alternate') }}{% endif %}
    {% set ns.count = ns.count + message.content | length %}
[{{ message.role }}|{{ loop.index }}/{{ loop.length }}] {{ message.content.replace('\\n', ' ⏎ ').rstrip() }}
    {% if loop.last %}{% break %}{% endif %}
    {% for word in message.content.split() %}{% if word == 'Ja.' %}{% continue %}{% endif %}{{ word.lower() }},{% endfor %}
{% endfor %}
{{ {'count': ns.count, 'é': ["<&'>", none, true, 1.5], 'empty': []} | tojson }}
{{ {'b': [1, {'a': 'é'}], 'c': {}} | tojson(indent=2) }}
{{ tools is none }} {{ documents is defined }} {{ undefined_name is defined }} {{ eos_token }} {{ '%05.1f' | format(2.25) }}
{% if add_generation_prompt %}[assistant]{% endif %}
"""
