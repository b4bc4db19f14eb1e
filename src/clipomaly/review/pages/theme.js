"use strict";
// Before the first paint, so that a dark page never flashes white.
const chosen = localStorage.getItem("clipomaly-theme");
if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
