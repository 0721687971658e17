// Regions that scroll can be reached by the keyboard (WCAG 2.1.1).
document.addEventListener("DOMContentLoaded", () => {
  for (const region of document.querySelectorAll("pre, .pst-scrollable-table-container, .math, .output.text_html")) {
    if (!region.hasAttribute("tabindex")) region.tabIndex = 0;
  }
});
