/* Ceremonies: asks the browser for a security key, puts what it says into the two hidden fields of a ceremony form, and sends the form.
 *
 * Knows no address, no wording and no state of its own: what to ask stands in the form (data-ceremony, data-options), and what the answer
 * means is for the server to say. Written for Firefox 60 and Chrome 67, and for pages in which htmx did not load.
 */
(function () {
  "use strict";

  var CEREMONY = "form[data-ceremony]";
  var running = null; // the one ceremony of this page: { form, controller, over }
  var free = Promise.resolve(); // when the browser has done with the one before

  function bytes(text) {
    var raw = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
    return Uint8Array.from(raw, function (c) { return c.charCodeAt(0); }).buffer;
  }

  function base64url(buffer) {
    var raw = Array.prototype.map.call(new Uint8Array(buffer), function (b) { return String.fromCharCode(b); }).join("");
    return btoa(raw).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  }

  /* WebAuthn L3 §5.1.8 and §5.1.9, as parseCreationOptionsFromJSON would do it. */
  function decoded(json) {
    var options = JSON.parse(json);
    options = options.publicKey || options;
    options.challenge = bytes(options.challenge);
    if (options.user) options.user.id = bytes(options.user.id);
    (options.excludeCredentials || []).concat(options.allowCredentials || []).forEach(function (key) { key.id = bytes(key.id); });
    return options;
  }

  /* WebAuthn L3 §5.1 as toJSON() would do it, where an old browser has it not. */
  function encoded(credential) {
    var response = {}, from = credential.response;
    ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"].forEach(function (field) {
      if (from[field]) response[field] = base64url(from[field]);
    });
    if (from.attestationObject) response.transports = from.getTransports ? from.getTransports() : [];
    return JSON.stringify({
      id: credential.id,
      rawId: base64url(credential.rawId),
      type: credential.type,
      response: response,
      authenticatorAttachment: credential.authenticatorAttachment || undefined,
      clientExtensionResults: credential.getClientExtensionResults()
    });
  }

  function field(form, name) { return form.querySelector("input[name='" + name + "']"); }

  function possible() { return !!(window.PublicKeyCredential && navigator.credentials && navigator.credentials.create); }

  function impossible() { return window.isSecureContext === false ? "SecurityError" : "NotSupportedError"; }

  function busy(form, on) {
    var title = form.querySelector("[tabindex='-1']");
    if (on && title && form.contains(document.activeElement)) title.focus(); // a button that gets disabled would lose the focus
    Array.prototype.forEach.call(form.querySelectorAll("button[type=submit]"), function (button) {
      button.disabled = on;
      if (on) button.setAttribute("aria-busy", "true"); else button.removeAttribute("aria-busy");
    });
    if (on) form.setAttribute("data-running", ""); else form.removeAttribute("data-running");
  }

  function send(form) {
    if (window.htmx && form.hasAttribute("hx-post")) form.dispatchEvent(new CustomEvent("answered"));
    else HTMLFormElement.prototype.submit.call(form);
  }

  /* The end of a ceremony. Whatever the browser still says afterwards is not listened to. */
  function finish(ceremony, name, value) {
    if (ceremony.over) return;
    ceremony.over = true;
    if (running === ceremony) running = null;
    if (!document.contains(ceremony.form)) return;
    field(ceremony.form, "credential").value = name === "credential" ? value : "";
    field(ceremony.form, "failure").value = name === "failure" ? value : "";
    send(ceremony.form);
  }

  /* Without a word: another ceremony takes its place, or its form is gone. */
  function drop(ceremony) {
    ceremony.over = true;
    if (running === ceremony) running = null;
    busy(ceremony.form, false);
    if (ceremony.controller) ceremony.controller.abort();
  }

  /* What went wrong. Browsers call a time-out NotAllowedError too (WebAuthn L3 §14.5.1), so that a page cannot tell: the clock can. */
  function failure(error, startedAt, timeout) {
    var name = (error && error.name) || "UnknownError";
    return name === "NotAllowedError" && timeout && Date.now() - startedAt >= timeout ? "TimeoutError" : name;
  }

  function ask(ceremony, options) {
    var startedAt = Date.now(), request = { publicKey: options };
    if (ceremony.controller) request.signal = ceremony.controller.signal;
    return navigator.credentials[ceremony.form.getAttribute("data-ceremony")](request).then(
      function (credential) { finish(ceremony, "credential", encoded(credential)); }
    ).catch(
      function (error) { finish(ceremony, "failure", failure(error, startedAt, options.timeout)); }
    );
  }

  function start(form) {
    if (running && running.form === form) return; // a double click starts one
    if (running) drop(running);
    var ceremony = running = { form: form, over: false, controller: window.AbortController ? new AbortController() : null };
    busy(form, true);
    if (!possible()) return finish(ceremony, "failure", impossible());
    // One that was cancelled has to be gone first: browsers refuse a second request, or abort the wrong one.
    var second = new Promise(function (go) { setTimeout(go, 1000); }); // of those that cannot abort
    free = Promise.race([free, second]).then(function () {
      if (!ceremony.over) return ask(ceremony, decoded(form.getAttribute("data-options")));
    }).catch(function (error) { finish(ceremony, "failure", (error && error.name) || "UnknownError"); });
  }

  function cancel(form) {
    var ceremony = running && running.form === form ? running : { form: form };
    busy(form, true);
    finish(ceremony, "failure", "AbortError");
    if (ceremony.controller) ceremony.controller.abort();
  }

  function each(root, selector, act) { Array.prototype.forEach.call(root.querySelectorAll(selector), act); }

  function fit(root) {
    if (possible() || window.isSecureContext === false) return; // an insecure address has words of its own, from the server
    each(root, "[data-needs-webauthn]", function (element) { element.hidden = true; });
    each(root, "[data-no-webauthn]", function (element) { element.hidden = false; });
  }

  document.addEventListener("submit", function (event) {
    if (!event.target.matches(CEREMONY)) return;
    event.preventDefault();
    start(event.target);
  });

  document.addEventListener("click", function (event) {
    var button = event.target.closest && event.target.closest("[data-cancel]");
    if (button && button.form && button.form.matches(CEREMONY)) cancel(button.form);
  });

  // The click on the button before was the click for a form that htmx brings. A form that came with the page waits for its own.
  document.addEventListener("htmx:after:process", function (event) {
    var root = event.target;
    if (root === document.body || !root.querySelectorAll) return;
    if (running && !document.contains(running.form)) drop(running);
    fit(root.parentNode || root);
    each(root.parentNode || root, CEREMONY, function (form) { if (root.contains(form)) start(form); });
  });

  /* A form that says so is not waited for, once: the page was asked for just now, and neither loaded again nor gone back to. */
  function atOnce() {
    var form = document.querySelector("form[data-at-once]"), visit = performance.getEntriesByType("navigation")[0];
    if (!form || !possible() || !visit || visit.type !== "navigate") return;
    if (form.matches(CEREMONY)) return start(form);
    field(form, "at_once").value = "1";
    form.querySelector("button[type=submit]").click();
  }
  window.addEventListener("load", function () { setTimeout(atOnce, 50); }); // htmx sets itself up in a timer of its own

  // The answer did not get through, or brought nothing new: the form is as it was, and may be tried again.
  document.addEventListener("htmx:finally:request", function (event) {
    var leaving = event.detail.ctx.keepIndicators; // another page is on its way
    if (!leaving && event.target.matches && event.target.matches(CEREMONY)) busy(event.target, false);
  });

  // A dialog that is closed takes its ceremony with it.
  document.addEventListener("close", function (event) {
    if (running && event.target.contains(running.form)) drop(running);
  }, true);

  // Back: the page comes as it was left, with an answer in it that was sent already.
  window.addEventListener("pageshow", function (event) {
    if (!event.persisted) return;
    each(document, CEREMONY, function (form) {
      field(form, "credential").value = field(form, "failure").value = "";
      busy(form, false);
    });
  });

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", function () { fit(document); });
  else fit(document);
})();
