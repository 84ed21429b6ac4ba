"use strict";

// Sends the form with progress; files may also be dropped or pasted. Without this script the form is sent by the browser.
const form = document.getElementById("form");
const say = (text) => { document.getElementById("status").textContent = text; };

if (form) {
  const input = document.getElementById("file");
  const drop = document.getElementById("drop");
  const bar = document.getElementById("progress");
  const button = form.querySelector("button");
  const attempts = 20;
  let busy = false;

  const fail = (text) => {
    busy = false;
    button.disabled = false;
    bar.hidden = true;
    say("");
    document.getElementById("error").textContent = text;
  };

  const put = (files) => {
    if (busy || files.length === 0) return;
    if (files.length > 1) { fail("Only one file is examined at a time."); return; }
    const list = new DataTransfer();
    list.items.add(files[0]);
    input.files = list.files;
    send(1);
  };

  const text = (request) => {
    try {
      const found = JSON.parse(request.responseText);
      return found.detail || `No answer: ${found.error}`;
    } catch {
      return `The service answered with status ${request.status}.`;
    }
  };

  const done = (request, attempt) => {
    if (request.status === 201) {
      say("Examined; opening the answer.");
      location.assign(`/results/${request.getResponseHeader("Location").split("/").pop()}`);
    } else if (request.status === 429 && attempt < attempts) {
      const seconds = Math.min(Number(request.getResponseHeader("Retry-After")) || 1, 30);
      bar.hidden = true;
      say(`The service is busy; trying again in ${seconds} s.`);
      setTimeout(() => send(attempt + 1), 1000 * seconds);
    } else if (request.status === 401) {
      location.assign("/login");
    } else {
      fail(text(request));
    }
  };

  const send = (attempt) => {
    if (!form.reportValidity()) return;
    const file = input.files[0];
    if (file.size > Number(form.dataset.bytes)) {
      fail(`The file is larger than ${Number(form.dataset.bytes) / 1048576} MiB, which is the limit.`);
      return;
    }
    busy = true;
    button.disabled = true;
    document.getElementById("error").textContent = "";
    bar.hidden = false;
    bar.value = 0;
    say("Uploading.");
    const request = new XMLHttpRequest();
    request.upload.onprogress = (event) => { if (event.lengthComputable) bar.value = event.loaded / event.total; };
    request.upload.onload = () => { bar.removeAttribute("value"); bar.setAttribute("aria-label", "Examination"); say("Examining."); };
    request.onload = () => done(request, attempt);
    request.onerror = () => fail("The connection to the service was lost.");
    request.open("POST", "/v1/answers");
    request.setRequestHeader("Accept", "application/json");
    request.send(new FormData(form));
  };

  form.addEventListener("submit", (event) => { event.preventDefault(); if (!busy) send(1); });
  for (const type of ["dragenter", "dragover"]) {
    document.addEventListener(type, (event) => { event.preventDefault(); drop.classList.add("over"); });
  }
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    put(event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) { event.preventDefault(); put(event.clipboardData.files); }
  });
}

const maps = document.getElementById("maps");
if (maps) maps.addEventListener("click", () => say("Drawing the heat maps."));
