"""Twenty prompts of code, ten Java and ten Python, from a line to a page. Written for these tests."""

PROMPTS = [
    "def add(a, b):\n    return",
    "public int max(int a, int b) {\n    return",
    "import json\n\ndef load_settings(path):\n    \"\"\"Read settings from a JSON file, with defaults for what is absent.\"\"\"\n    settings = {\"retries\": 3, \"timeout\": 10.0}\n",
    "/** Counts the words in a text. */\npublic static Map<String, Integer> countWords(String text) {\n    Map<String, Integer> counts = new HashMap<>();\n    for (String word : text.split(\"\\\\s+\")) {\n",
    "class Stack:\n    def __init__(self):\n        self._items = []\n\n    def push(self, item):\n        self._items.append(item)\n\n    def pop(self):\n",
    "public final class Point {\n    private final double x;\n    private final double y;\n\n    public Point(double x, double y) {\n        this.x = x;\n        this.y = y;\n    }\n\n    public double distanceTo(Point other) {\n",
    "# Größe und Höhe: die Maße eines Rechtecks\ndef flaeche(breite, hoehe):\n    return",
    "// 文字列を逆順にする\npublic String reverse(String s) {\n    StringBuilder sb = new StringBuilder();\n",
    "def fibonacci(n):\n    a, b = 0, 1\n    while a < n:\n        yield a\n        a, b = b, a + b\n\n\nprint(list(fibonacci(100)))\n# Output:",
    "@Test\npublic void emptyQueueHasSizeZero() {\n    RingBuffer<String> buffer = new RingBuffer<>(8);\n    assertEquals(0, buffer.size());\n    buffer.offer(\"a\");\n    buffer.offer(\"b\");\n",
    "SELECT_BY_NAME = \"SELECT id, name FROM users WHERE name = ?\"\n\n\ndef find_user(connection, name):\n    cursor = connection.cursor()\n    cursor.execute(SELECT_BY_NAME, (name,))\n",
    "public void close() throws IOException {\n    try {\n        flush();\n    } finally {\n        if (channel != null && channel.isOpen()) {\n",
    "from dataclasses import dataclass, field\n\n\n@dataclass(order=True)\nclass Task:\n    priority: int\n    name: str = field(compare=False)\n    tags: list[str] = field(default_factory=list, compare=False)\n\n    def is_urgent(self) -> bool:\n",
    "/**\n * Finds the index of a key in a sorted array.\n *\n * @return the index, or -1 if the key is absent\n */\nstatic int binarySearch(int[] sorted, int key) {\n    int low = 0;\n    int high = sorted.length - 1;\n    while (low <= high) {\n        int middle = (low + high) >>> 1;\n",
    "def merge(left, right):\n    merged = []\n    i = j = 0\n    while i < len(left) and j < len(right):\n        if left[i] <= right[j]:\n            merged.append(left[i])\n            i += 1\n        else:\n            merged.append(right[j])\n            j += 1\n    merged.extend(left[i:])\n",
    "sealed interface Shape permits Circle, Square {}\n\nrecord Circle(double radius) implements Shape {}\n\nrecord Square(double side) implements Shape {}\n\nstatic double area(Shape shape) {\n    return switch (shape) {\n        case Circle c ->",
    "async def fetch_all(session, urls, limit=8):\n    gate = asyncio.Semaphore(limit)\n\n    async def fetch(url):\n        async with gate, session.get(url) as response:\n            response.raise_for_status()\n            return await response.text()\n\n",
    "private static String escape(String text) {\n    StringBuilder out = new StringBuilder(text.length() + 16);\n    for (int i = 0; i < text.length(); i++) {\n        char c = text.charAt(i);\n        switch (c) {\n            case '<': out.append(\"&lt;\"); break;\n            case '>': out.append(\"&gt;\"); break;\n",
    "class Matrix:\n    \"\"\"A dense matrix of floats, stored row by row.\"\"\"\n\n    def __init__(self, rows, columns, values=None):\n        self.rows = rows\n        self.columns = columns\n        self.values = values or [0.0] * (rows * columns)\n\n    def __getitem__(self, place):\n        row, column = place\n        return self.values[row * self.columns + column]\n\n    def __matmul__(self, other):\n        if self.columns != other.rows:\n            raise ValueError(f\"{self.columns} columns do not meet {other.rows} rows\")\n",
    "/** A cache that forgets what was used longest ago. */\npublic class LruCache<K, V> extends LinkedHashMap<K, V> {\n    private static final float LOAD_FACTOR = 0.75f;\n    private final int capacity;\n\n    public LruCache(int capacity) {\n        super(capacity, LOAD_FACTOR, true);\n        if (capacity < 1) {\n            throw new IllegalArgumentException(\"capacity must be positive: \" + capacity);\n        }\n        this.capacity = capacity;\n    }\n\n    @Override\n    protected boolean removeEldestEntry(Map.Entry<K, V> eldest) {\n",
]
