element.querySelector(".sat-theme").addEventListener("click", () => document.body.classList.toggle("dark"));
