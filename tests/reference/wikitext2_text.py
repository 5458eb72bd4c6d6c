"""How WikiText-2's one file becomes documents: the same cut for the references and for the tests of the program."""

import re

HEADING = re.compile(r"^ = (?!= )(.*) = \n", re.M)


def articles(text):
    """(title, text) of every article: from its heading " = Title = " to before the next one."""
    starts = [*HEADING.finditer(text)]
    ends = [heading.start() for heading in starts[1:]] + [len(text)]
    return [(heading.group(1), text[heading.start():end]) for heading, end in zip(starts, ends)]
