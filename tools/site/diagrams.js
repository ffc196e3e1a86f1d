// Draws the code blocks of language `mermaid`, as GitHub does.
for (const block of document.querySelectorAll("code.language-mermaid")) {
  const diagram = document.createElement("div");
  diagram.className = "mermaid";
  diagram.textContent = block.textContent;
  block.closest("pre").replaceWith(diagram);
}
const isDark = /navy|coal|ayu/.test(document.documentElement.className);
mermaid.initialize({ startOnLoad: false, securityLevel: "strict", theme: isDark ? "dark" : "default" });
mermaid.run();
