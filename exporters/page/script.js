"use strict";
const status = document.getElementById("status");
const connection = document.getElementById("connection");

function follow() {
  const events = new EventSource("events");
  events.onmessage = (event) => {
    connection.textContent = "";
    if (getSelection().isCollapsed) status.innerHTML = event.data; // what is being copied stays
  };
  events.onerror = () => {
    connection.textContent = "Connection lost: these are the last figures.";
    if (events.readyState === EventSource.CLOSED) setTimeout(follow, 5000);
  };
}
follow();
