r"""Tables as LaTeX, to be \input into a paper that loads booktabs.

Letters of other scripts are kept as they are: pdfLaTeX knows those of European languages, XeLaTeX and LuaLaTeX what the
font has.
"""

import re

from fireact.study.sheet import Kind, Sheet, Spread, shown

_SPECIAL = {"\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%",
            "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
            ">": r"\textgreater{}", "|": r"\textbar{}", '"': "{''}", "±": r"$\pm$", "→": r"$\to$",
            "\N{MINUS SIGN}": "$-$", "\N{MULTIPLICATION SIGN}": r"$\times$", "·": r"\textperiodcentered{}"}
_SPECIALS = re.compile("|".join(map(re.escape, _SPECIAL)))


def latex(sheet: Sheet, spread: Spread = "se") -> str:
    """Return a table environment with caption and label, and its notes below."""
    form = "".join("l" if column.kind == "text" else "r" for column in sheet.columns)
    rows = [" & ".join(_cell(text, column.kind, number in sheet.best and column.name == "em")
                       for column, value in zip(sheet.columns, row, strict=True)
                       for text in [shown(value, column.kind, spread)]) + r" \\"
            for number, row in enumerate(sheet.rows)]
    head = " & ".join(escape(column.head) for column in sheet.columns) + r" \\"
    notes = [rf"  \par\smallskip{{\footnotesize {escape(note)}\par}}" for note in sheet.notes]
    return "\n".join([r"% \usepackage{booktabs}", r"\begin{table}[t]", r"  \centering",
                      rf"  \caption{{{escape(sheet.caption)}}}", rf"  \label{{tab:{sheet.name}}}",
                      rf"  \begin{{tabular}}{{{form}}}", r"    \toprule", f"    {head}", r"    \midrule",
                      *(f"    {row}" for row in rows), r"    \bottomrule", r"  \end{tabular}", *notes,
                      r"\end{table}", ""])


def escape(text: str) -> str:
    """Write any text so that LaTeX sets it as it is; line breaks and control characters become spaces."""
    plain = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return _SPECIALS.sub(lambda found: _SPECIAL[found[0]], plain)


def _cell(text: str, kind: Kind, bold: bool) -> str:
    written = escape(text)
    if kind != "text":
        written = re.sub(r"(?<![\w$])-(?=\d)", "$-$", written)
    # A row that began with a bracket would be taken for an option of the line break before it.
    return rf"\textbf{{{written}}}" if bold else f"{{}}{written}" if written.startswith(("[", "*")) else written
