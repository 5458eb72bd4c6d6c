"""Texts for make_tokenizers.py: to train on and to encode."""

MIXED = """
Grüße aus Köln: die Straße ist naß, Übermut tut selten gut. Ça va très bien, merci, l'été dernier à l'hôtel.
El niño comió piñas mañana por la mañana; ¿quién sabe? ¡Qué lástima! Să fie într-un ceas bun, țară și oraș.
Zażółć gęślą jaźń. Příliš žluťoučký kůň úpěl ďábelské ódy. Árvíztűrő tükörfúrógép. İstanbul'da ılık bir gün, ŞIK.
Привет, мир! Как дела сегодня? Съешь же ещё этих мягких французских булок. Україна, її вітер ґанок єдність.
Καλημέρα κόσμε, ΟΔΥΣΣΕΥΣ ὁ πολύτροπος, τί κάνεις; Ἐν ἀρχῇ ἦν ὁ λόγος.
שלום עולם, מה שלומך היום? בְּרֵאשִׁית. السلام عليكم يا عالم، كيف حالك؟ اَلْعَرَبِيَّةُ ١٢٣٤٥ فارسی ۱۲۳
नमस्ते दुनिया, आप कैसे हैं? क्षत्रिय १२३ বাংলা ভাষা তামিল தமிழ் மொழி తెలుగు ಕನ್ನಡ മലയാളം
สวัสดีชาวโลก วันนี้เป็นอย่างไรบ้าง ສະບາຍດີ မင်္ဂလာပါ ជំរាបសួរ
你好，世界！今天天气很好。我們在學習漢字。こんにちは世界、お元気ですか？カタカナとひらがな。ﾊﾝｶｸ 안녕하세요 세계, 한글을 배웁니다. 각나닭
ａｂｃＡＢＣ１２３ ﬁﬂ ﬃ ½ ¼ Ⅳ ⅷ ① ⑩ ㍿ ㎏ ™ © ℃ x² H₂O ∑∫√≠≤ ←→ €£¥ «citation» „Zitat“ ‘a’ “b” – — … ·
👍 👍🏽 👨‍👩‍👧‍👦 🇩🇪🇫🇷 ❤️ ☕ 🤦🏼‍♂️ 1️⃣ e\u0301 a\u0323\u0307 n\u0303 o\u0308 \u1e69 s\u0323\u0307
"""

TEXTS = [
    "", " ", "  ", "a", " a", "a ", "\n", "\n\n", "\r\n", " \n ", "\t\tx\ty", "Hello world", "Hello, world!", " Hello  world ",
    "The quick brown fox jumps over the lazy dog.", "I'm sure they're what you'd think we've said; it'll do, DON'T IT'S",
    "don\u2019t can\u2019t '\u017f 'S 'RE", "3.14159 1,234,567 0x1F 100% 12345678901234567890 1 22 333 4444",
    "a  b   c    d     e                          f", "line one\nline two\r\nline three\n\n\nlast  ", "tab\there\x0b\x0c\x1c\x85nel",
    "no\u00a0break\u2003em\u3000ideographic\u200bzero\u200djoin\ufeffbom", "http://example.org/a_b-c?d=e&f=%20#g user@example.org",
    "def f(x):\n    return {'a': [1, 2.5e-3], \"b\": x**2}  # comment\n\tif x != 3 && y || !z { a->b; }",
    "e\u0301 \u00e9 a\u0323\u0307 \u1e69 s\u0323\u0307 n\u0303o\u0308", "o\u0308\u0323 a\u0315\u0300\u05ae\u0062 \u0344 \u0f73",
    "\ufb01\ufb02 \u00bd \u2460 \u2163 \u337f \uff21\uff22 \u00b2 \u2126 \u212b \u1e9b\u0323", "\u0130\u0131I\u00cf \u00df\u1e9e \u03a3\u03a3 \u01c5 \u0345",
    "\U0001f44d\U0001f3fd \U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7 \u2764\ufe0f 1\ufe0f\u20e3",
    "\U0001f600" * 12, "\u4f60\u597d\uff0c\u4e16\u754c\uff01\u4eca\u5929\u5929\u6c14\u5f88\u597d\u3002", "\u6f22\u5b57\u304b\u306a\u30ab\u30ca\u30fc\u6df7\u3058\u308a\u6587",
    "\uc548\ub155\ud558\uc138\uc694 \u1112\u1161\u11ab\u1100\u1173\u11af \uac01\u11a8", "\u0627\u0644\u0633\u0644\u0627\u0645 \u0639\u0644\u064a\u0643\u0645 \u0661\u0662\u0663 \u06f1\u06f2",
    "\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd \u05e2\u05d5\u05dc\u05dd", "\u0928\u092e\u0938\u094d\u0924\u0947 \u0915\u094d\u0937\u0924\u094d\u0930\u093f\u092f \u0967\u0968",
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01", "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440! \u0401\u0436\u0438\u043a \u0419\u043e\u0434",
    "\u039a\u03b1\u03bb\u03b7\u03bc\u03ad\u03c1\u03b1 \u039f\u0394\u03a5\u03a3\u03a3\u0395\u03a5\u03a3 \u1f00\u03c1\u03c7\u1fc7", "\x00", "a\x00b\x01\x02\x7f\x80\x9f", "\u0378\u0380\ufffe\U000e0001\U0010ffff\ue000",
    "\ufffd \ufffdx", "\u2581", "\u2581\u2581a\u2581b", " \u2581 a", "\u0120the \u010a", "<s>", "</s>", "<s>Hello</s>", "x<s>y", " <s> z", "<pad><unk>[CLS][SEP][MASK]",
    "a[MASK]b", "a [MASK] b", "a  [MASK]  b", "the <mask> is", "the<mask>is", "the   <mask>   is \n<mask>", "<|endoftext|>", "a<|endoftext|> b", "<|im_start|>user\nhi<|im_end|>",
    "word keyword word", "key", "a key, keys", "KEYWORD Keyword", "Caf\u00c9 CAF\u00c9 cafe\u0301 \uff43\uff41\uff46\u00e9", "<0x41> <0x0A> <0xE2><0x96>", "##ing ##", "\U00010428\U0001d54f \U00020000\U0002a6d6 \U0001f9ff",
    "\u0600\u0061 \u0600\u0661", "\u0d4e\u0d15 \u0903a\u0903", "\r", "a\rb", "a\r\nb\n\rc", "...!!!???---___***", "\u3001\u3002\u300c\u300d\uff01\uff1f", "\u00abquoted\u00bb \u201ea\u201c \u2018b\u2019",
    "super" * 60, "a" * 500, "ab" * 200, "-" * 300, " " * 300, "\u00e9" * 120, "\u4e00" * 150, "1" * 100, "x " * 100, "supercalifragilisticexpialidocious " * 5,
    "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis", "\U0001f468\u200d" * 30, "e" + "\u0301" * 40, "\u0300" * 40,
    "a" + "\u0323\u0301\u0345\u0334" * 20, "\u1100" * 20 + "\u1161\u11a8" * 20, "\u017f\u212a \u0149 \ufb03 \u0390", "\u1734 \u180e \u1cf2 \u0cf3 \u0897 \u1c89 \ua7cb \u11938",
    "``quoted'' \"double\" 'single'", "Mr. O'Neill's co-op isn't well-known; e.g., see p. 42 (ibid.).", "I do not know n't 's 've , . ? !",
    "GNU GENERAL PUBLIC LICENSE\n\n   Version 3, 29 June 2007\n\n Copyright (C) 2007", "The end.  ", "mixed\u4e2d\u6587English\u65e5\u672c\u8a9e123\u0627\u0644", "\u0661\u0662\u0663abc\u0967\u0968\u0969 \U0001d7d8\U0001d7d9",
] + [line for line in MIXED.split("\n") if line]
