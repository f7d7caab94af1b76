// What the pages have in common. Each tells in `self.verdict` that it is right, or what is wrong.

Object.assign(self, { judge, until, pause, marks, texts, show, equal, asked, said: [] });
console.warn = (line) => self.said.push(line);

/** Runs what a page does and expects. */
async function judge(steps) {
  try {
    await steps();
    self.verdict = "right";
  } catch (error) {
    self.verdict = `${error.message}; the page says: ${document.body.innerText}`;
  }
}

/** Waits until a condition is true. */
async function until(condition, what = condition) {
  for (const end = performance.now() + 20000; !await condition();) {
    if (performance.now() > end) throw new Error(`expected within 20 s: ${what}`);
    await pause(10);
  }
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function marks() {
  return [...document.querySelectorAll("[data-stacosys-url]")];
}

function texts() {
  return marks().map((mark) => mark.textContent.trim());
}

/** Waits until the marks show these texts. */
function show(...expected) {
  return until(() => texts().join() === expected.join(), `the marks show ${expected}`);
}

function equal(actual, expected) {
  if (JSON.stringify(actual) !== JSON.stringify(expected)) {
    throw new Error(`expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`);
  }
}

/** What the page has asked the server for, request by request. */
async function asked() {
  return (await fetch("/asked")).json();
}
