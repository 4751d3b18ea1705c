"use strict";
/* Small helps for the pages; everything but typing ahead works without them. */

const question = document.querySelector("#q");

if (question) {
  // An input method sends input events while a word is composed: search only when it is complete.
  let composing = false;
  question.addEventListener("compositionstart", () => { composing = true; });
  question.addEventListener("compositionend", () => {
    composing = false;
    question.dispatchEvent(new Event("input", { bubbles: true }));
  });
  window.addEventListener("input", event => {
    if (event.target === question && (composing || event.isComposing)) event.stopImmediatePropagation();
  }, true);
  window.addEventListener("keydown", event => {
    if (event.target === question && event.key === "Enter" && (composing || event.isComposing || event.keyCode === 229)) {
      event.stopImmediatePropagation();
    }
  }, true);
  // A new question is not about the document that results were like.
  question.addEventListener("input", () => {
    const like = document.querySelector('input[name="like"]');
    if (like) like.checked = false;
  });
}

// "/" goes to the question, arrows go through the results.
document.addEventListener("keydown", event => {
  if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("input, textarea, select");
  if (event.key === "/" && !typing && question) {
    event.preventDefault();
    question.focus();
    return;
  }
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  if (typing && event.target !== question) return;
  const hits = [...document.querySelectorAll("#results a.hit")];
  const place = hits.indexOf(document.activeElement);
  const next = event.key === "ArrowDown" ? place + 1 : place - 1;
  if (event.key === "ArrowUp" && place === 0 && question) { event.preventDefault(); question.focus(); return; }
  if (hits[next] && (place >= 0 || event.key === "ArrowDown")) { event.preventDefault(); hits[next].focus(); }
});

// The value beside the slider.
const radius = document.querySelector("#radius");
if (radius) {
  radius.addEventListener("input", () => { document.querySelector("#radius-value").value = radius.value; });
}

// Files can be dropped.
const upload = document.querySelector("#upload");
if (upload) {
  const file = upload.querySelector('input[type="file"]');
  for (const name of ["dragover", "dragleave", "drop"]) {
    upload.addEventListener(name, event => {
      event.preventDefault();
      upload.classList.toggle("over", name === "dragover");
    });
  }
  upload.addEventListener("drop", event => {
    if (!event.dataTransfer.files.length) return;
    file.files = event.dataTransfer.files;
    upload.requestSubmit();
  });
  file.addEventListener("change", () => { if (file.files.length) upload.requestSubmit(); });
}

// What the server could not be asked.
document.addEventListener("htmx:sendError", () => {
  const results = document.querySelector("#results"), sentence = document.createElement("p");
  sentence.className = "error";
  sentence.setAttribute("role", "alert");
  sentence.textContent = "The server does not answer; it may have stopped.";
  results.replaceChildren(sentence);
});
