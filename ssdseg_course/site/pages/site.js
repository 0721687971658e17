// From the disk a browser lets no page read another one, so results of a search come without a summary there.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

// Regions that fold in the theme's sidebar have no name of their own (WCAG 4.1.2).
// Regions that scroll can be reached by the keyboard (WCAG 2.1.1).
document.addEventListener("DOMContentLoaded", () => {
  for (const summary of document.querySelectorAll("summary")) {
    if (!summary.textContent.trim()) summary.setAttribute("aria-label", "Pages below this one");
  }
  for (const region of document.querySelectorAll("pre, .pst-scrollable-table-container, .math, .output.text_html")) {
    if (!region.hasAttribute("tabindex")) region.tabIndex = 0;
  }
  // The network begins when its part of the front page is opened, and ends when that is closed.
  for (const part of document.querySelectorAll("details.live")) {
    part.addEventListener("toggle", () => {
      part.querySelector("summary span").textContent = part.open ? "Stop the network" : "Run the network here";
      if (!part.open) return part.querySelector("iframe")?.remove();
      const frame = document.createElement("iframe");
      Object.assign(frame, {src: part.dataset.page, title: "The network at work", allow: "camera"});
      part.append(frame);
    });
  }
});
