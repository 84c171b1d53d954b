// Typeset the mathematics of the page; with `throwOnError`, a bad formula is an error that the checks of the site see.
renderMathInElement(document.body, {
  delimiters: [
    { left: "\\[", right: "\\]", display: true },
    { left: "\\(", right: "\\)", display: false },
  ],
  throwOnError: true,
});
