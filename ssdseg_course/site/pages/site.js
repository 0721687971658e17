// Regions that fold in the theme's sidebar have no name of their own (WCAG 4.1.2).
// Regions that scroll can be reached by the keyboard (WCAG 2.1.1).
document.addEventListener("DOMContentLoaded", () => {
  for (const summary of document.querySelectorAll("summary")) {
    if (!summary.textContent.trim()) summary.setAttribute("aria-label", "Pages below this one");
  }
  for (const region of document.querySelectorAll("pre, .pst-scrollable-table-container, .math, .output.text_html")) {
    if (!region.hasAttribute("tabindex")) region.tabIndex = 0;
  }
});
