/* What makes a page pleasant, and without which it still works: buttons that wait, clocks that count, times of the reader's own, dialogs
 * that are modal, what is said read aloud, and a word when the connection fails. The words stand in the page.
 */
(function () {
  "use strict";

  function each(root, selector, act) { Array.prototype.forEach.call(root.querySelectorAll(selector), act); }

  /* Buttons of a form that is being sent. */
  function wait(form, on) {
    each(form, "button", function (button) {
      if (on && button.type === "submit") button.setAttribute("aria-busy", "true");
      if (!on) button.removeAttribute("aria-busy");
    });
  }

  var place = ""; // where the focus was, should its element be gone afterwards
  document.addEventListener("htmx:before:request", function (event) {
    var form = event.target;
    place = form.getAttribute("data-focus") || "";
    if (!form.matches("form")) return;
    var refusal = document.getElementById("refusal");
    if (refusal) refusal.textContent = "";
    wait(form, true);
  });
  document.addEventListener("htmx:finally:request", function (event) {
    if (event.detail.ctx.keepIndicators) return; // another page is on its way
    if (event.target.matches && event.target.matches("form")) return wait(event.target, false);
    var back = place && document.activeElement === document.body && document.getElementById(place);
    if (back) back.focus();
    place = "";
  });

  // A double click opens one page. (Firefox does not count the second click as one, once the first has opened a page.)
  var opened = -Infinity;
  document.addEventListener("click", function (event) {
    if (!event.target.closest || !event.target.closest("a[target=_blank]")) return;
    if (event.timeStamp - opened < 2000) event.preventDefault();
    else opened = event.timeStamp;
  }, true);

  // A form without htmx goes once, however often it is clicked. The button is disabled only after its form has gone.
  document.addEventListener("submit", function (event) {
    var form = event.target;
    if (event.defaultPrevented || form.method !== "post" || (window.htmx && form.hasAttribute("hx-post"))) return;
    if (form.hasAttribute("data-sent")) return event.preventDefault();
    form.setAttribute("data-sent", "");
    wait(form, true);
    setTimeout(function () { again(form); }, 15000); // stopped, or the answer was no page
  });
  function again(form) {
    form.removeAttribute("data-sent");
    wait(form, false);
  }
  window.addEventListener("pageshow", function (event) {
    if (!event.persisted) return;
    each(document, "form[data-sent]", again);
    each(document, "form button", function (button) {
      if (!button.hasAttribute("data-wait")) button.disabled = false;
      button.removeAttribute("aria-busy");
    });
  });

  /* A word where the connection failed, beside what was clicked. */
  function calm() {
    each(document, ".trouble", function (words) { words.parentNode.removeChild(words); });
  }
  document.addEventListener("htmx:after:request", calm);
  document.addEventListener("htmx:error", function (event) {
    var context = event.detail && event.detail.ctx, words = document.getElementById("trouble");
    if (!context || context.response || !words) return; // an answer came: it says itself what is wrong
    var source = context.sourceElement, poll = source.matches("dialog"), copy = words.cloneNode(true);
    if (poll && source.querySelector(".trouble")) return; // said once is enough for something that asks every two seconds
    calm();
    copy.removeAttribute("id");
    copy.classList.add("trouble");
    copy.hidden = false;
    copy.setAttribute("role", "alert");
    var spot = source.closest(".row, .keys") || source;
    if (poll) source.appendChild(copy);
    else spot.parentNode.insertBefore(copy, spot);
    var button = source.matches("form") && source.querySelector("button[type=submit], button:not([type])");
    if (button) setTimeout(function () { button.focus(); }, 50); // it lost the focus while it was disabled
  });

  /* Passwords: looked at while they are typed, and hidden while they are sent, or the browser would remember them as ordinary text. */
  function peek(button, on) {
    document.getElementById(button.getAttribute("data-peek")).type = on ? "text" : "password";
  }
  function pressed(button) { return button.getAttribute("aria-pressed") === "true"; }
  function peeks(on) {
    each(document, "[data-peek]", function (button) { peek(button, on && pressed(button)); });
  }
  document.addEventListener("submit", function () { peeks(false); }, true);
  document.addEventListener("htmx:finally:request", function (event) { if (!event.detail.ctx.keepIndicators) peeks(true); });
  document.addEventListener("click", function (event) {
    var button = event.target.closest && event.target.closest("[data-peek]");
    if (!button) return;
    button.setAttribute("aria-pressed", String(!pressed(button)));
    peek(button, pressed(button));
  });
  /* The field that is refused gets the focus; what was typed stays in all of them. */
  function refuse(words) {
    var wrong = document.getElementById(words.getAttribute("data-focus"));
    each(wrong.form, "[aria-invalid]", function (field) { field.removeAttribute("aria-invalid"); });
    wrong.setAttribute("aria-invalid", "true");
    wrong.setAttribute("aria-describedby", words.id + "-said " + wrong.id + "-hint");
    setTimeout(function () { wrong.focus(); }, 0);
  }

  /* What should be kept: copied, put into a file, or printed. Whoever leaves without is told, once. */
  var unkept = document.getElementById("unkept");
  function kept() { unkept = null; }
  function text(id) { return document.getElementById(id).textContent; }
  function copy(button) {
    navigator.clipboard.writeText(text(button.getAttribute("data-copy"))).then(function () {
      kept();
      button.querySelector("[data-said]").hidden = false;
      aloud(button.textContent);
    }).catch(function () { button.hidden = true; }); // the browser does not let us: the codes can be selected by hand
  }
  function download(button) {
    var link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text(button.getAttribute("data-download"))], { type: "text/plain" }));
    link.download = button.getAttribute("data-file");
    link.click();
    kept();
    setTimeout(function () { URL.revokeObjectURL(link.href); }, 1000);
  }
  document.addEventListener("click", function (event) {
    var button = event.target.closest && event.target.closest("button");
    if (!button) return;
    if (button.hasAttribute("data-copy")) copy(button);
    if (button.hasAttribute("data-download")) download(button);
    if (button.hasAttribute("data-print")) window.print();
  });
  document.addEventListener("copy", kept);
  window.addEventListener("afterprint", kept);
  document.addEventListener("submit", function (event) { if (event.target.hasAttribute("data-kept")) kept(); });
  document.addEventListener("click", function (event) {
    var link = unkept && event.target.closest && event.target.closest("a[href]:not([href^='#'])");
    if (!link) return;
    if (link.hasAttribute("data-kept")) return kept();
    event.preventDefault();
    unkept.hidden = false;
    unkept.focus();
    kept();
  });
  window.addEventListener("beforeunload", function (event) {
    if (!unkept) return;
    event.preventDefault();
    event.returnValue = "";
  });
  each(document, "[data-scripted]", function (element) { element.hidden = false; });
  each(document, "[data-copy]", function (button) { button.hidden = !navigator.clipboard; });

  /* What is said, read aloud: by a region that was there before the words. An alert that arrives, and what has the focus, need it not. */
  var read = 0;
  function aloud(text) {
    var live = document.getElementById("live");
    live.textContent = "";
    setTimeout(function () { live.textContent = text; }, 50);
    clearTimeout(read);
    read = setTimeout(function () { live.textContent = ""; }, 10000); // nobody should come upon it a second time
  }
  function announce(root, selector) {
    setTimeout(function () { // once the focus is where it goes
      var words = [];
      each(root, selector, function (said) {
        if (!said.hidden && said !== document.activeElement) words.push(said.textContent.trim().replace(/\s+/g, " "));
      });
      if (words.length) aloud(words.join(" "));
    }, 100);
  }

  /* Times, as the reader has them: local, relative while they are near, in the page's language and the reader's way of writing it. The
   * page comes with UTC, which goes to the title. */
  var page = document.documentElement.lang || "en", moment = document.documentElement.getAttribute("data-moment");
  var tongue = (navigator.languages || [navigator.language]).filter(function (one) { return one.split("-")[0] === page.split("-")[0]; })[0];
  if (page.indexOf("-") > 0) tongue = page; // whoever else speaks it may write it otherwise
  tongue = tongue && tongue !== "en" ? tongue : page === "en" ? "en-GB" : page;
  var relative = Intl.RelativeTimeFormat && new Intl.RelativeTimeFormat(tongue, { numeric: "auto" });

  function days(at, now) { return Math.round((new Date(at).setHours(0, 0, 0, 0) - new Date(now).setHours(0, 0, 0, 0)) / 86400000); }
  function reading(at, now, ahead) {
    var minutes = Math.round((at - now) / 60000), day = days(at, now);
    if (minutes > 0 && minutes < 60 && !ahead) minutes = 0; // a clock that is a little late
    if (relative && !minutes) return relative.format(0, "second");
    if (relative && Math.abs(minutes) < 60) return relative.format(minutes, "minute");
    var date = { day: "numeric", month: "long" }, near = relative && Math.abs(day) <= 1;
    if (at.getFullYear() !== now.getFullYear()) date.year = "numeric";
    var words = near ? relative.format(day, "day") : at.toLocaleDateString(tongue, date);
    return moment.replace("%(date)s", words).replace("%(time)s", at.toLocaleTimeString(tongue, { timeStyle: "short" }));
  }
  function times(root) {
    each(root, "time[datetime]", function (element) {
      if (!element.title) element.title = element.textContent;
      var text = reading(new Date(element.getAttribute("datetime")), new Date(), element.hasAttribute("data-ahead"));
      if (element.textContent !== text) element.textContent = text;
    });
  }
  times(document);
  if (document.currentScript) { // so that letters are written by this clock, too
    document.cookie = "keystead-zone=" + -new Date().getTimezoneOffset() + "; SameSite=Lax; path=" +
      document.currentScript.src.replace(/^https?:\/\/[^/]*/, "").replace(/static\/.*/, "") + (location.protocol === "https:" ? "; Secure" : "");
  }
  setInterval(function () { times(document); }, 20000);

  /* Clocks. They count from when they were put into the page, so that a computer that sleeps does not slow them down. */
  function clock(seconds) {
    var left = Math.max(0, seconds);
    var minutes = Math.floor(left / 60), hours = Math.floor(minutes / 60);
    return (hours ? hours + ":" + ("0" + (minutes % 60)).slice(-2) : minutes) + ":" + ("0" + (left % 60)).slice(-2);
  }
  function count(element, attribute, tick) {
    var ends = Date.now() + Number(element.getAttribute(attribute)) * 1000;
    element.removeAttribute(attribute);
    (function next() {
      var left = ends - Date.now();
      tick(Math.ceil(left / 1000));
      if (left > 0 && document.contains(element)) setTimeout(next, left % 1000 || 1000);
    })();
  }
  function clocks(root) {
    each(root, "[data-expires-in]", function (element) {
      var time = element.querySelector("[data-clock]"), over = element.parentNode.querySelector("[data-expired]");
      count(element, "data-expires-in", function (left) {
        time.textContent = clock(left);
        element.hidden = left <= 0;
        over.hidden = left > 0;
        if (left <= 0) announce(over.parentNode, "[data-expired]");
      });
    });
    each(root, "[data-look-in]", lookAgain);
    each(root, "[data-wait]", function (button) {
      var words = button.querySelector("[data-wait-words]"), time = words.querySelector("[data-clock]");
      count(button, "data-wait", function (left) {
        button.disabled = left > 0;
        words.hidden = left <= 0;
        time.textContent = clock(left);
      });
    });
  }

  /* What did not answer is asked again, with growing pauses. A page is then loaded anew; a form is sent again by nobody but the person. */
  function lookAgain(element) {
    var pause = Number(element.getAttribute("data-look-in")), time = element.querySelector("[data-clock]");
    element.hidden = false;
    count(element, "data-look-in", function (left) {
      time.textContent = clock(left);
      if (left > 0) return;
      fetch(element.getAttribute("data-at") || location.href, { credentials: "same-origin", cache: "no-store", redirect: "manual" }).then(function (answer) {
        if (answer.status === 503) throw answer;
        if (element.hasAttribute("data-load")) return location.reload();
        element.querySelector("[data-waiting]").hidden = true;
        element.querySelector("[data-back]").hidden = false;
        announce(element, "[data-back]");
        var leads = element.hasAttribute("data-at") && element.parentNode.querySelector(".actions a");
        if (leads) leads.focus();
      }).catch(function () {
        element.setAttribute("data-look-in", Math.min(60, pause * 2));
        if (document.contains(element)) lookAgain(element);
      });
    });
  }

  /* Dialogs. One that comes with the page stands in it; one that is brought into #dialogs is made modal. */
  var opener = "", modals = new WeakSet();
  function modal(room) {
    each(room, "dialog", function (dialog) {
      if (!dialog.showModal || modals.has(dialog)) return;
      modals.add(dialog);
      dialog.removeAttribute("open");
      dialog.showModal();
    });
  }
  document.addEventListener("close", function (event) {
    var dialog = event.target, back = document.getElementById(opener);
    if (!modals.has(dialog) || !dialog.parentNode) return;
    dialog.parentNode.removeChild(dialog);
    if (back) back.focus();
    if (/^(waiting|not_yet|help)$/.test(dialog.getAttribute("data-dialog"))) window.addEventListener("focus", look);
  }, true);
  function look() { // whoever closed the dialog and comes back from the new page finds the row as it is now
    window.removeEventListener("focus", look);
    document.body.dispatchEvent(new CustomEvent("bound"));
  }
  document.addEventListener("click", function (event) {
    var link = event.target.closest && event.target.closest("a[id]"), close = event.target.closest && event.target.closest("[data-close]");
    if (link) opener = link.id;
    if (!close) return;
    var dialog = close.closest("dialog");
    if (!modals.has(dialog)) return; // in a page of its own it is a link
    event.preventDefault();
    dialog.close();
  });

  document.addEventListener("htmx:after:process", function (event) {
    var root = event.target;
    if (!root.querySelectorAll) return;
    clocks(root.parentNode || root);
    times(root.parentNode || root);
    if (root.hasAttribute && root.hasAttribute("data-focus")) refuse(root);
    if (root !== document.body) announce(root.parentNode || root, "[role=status]");
    var room = document.getElementById("dialogs");
    if (!room) return;
    modal(room);
    if (root.id === "refusal") each(room, "dialog", function (dialog) { dialog.close(); }); // it would hide the words
  });
  clocks(document);
  announce(document, "[role=status], [role=alert]");
})();
