// @ts-check
// The dashboard works without this file. It adds three things: the list is filtered and sorted without a new page, the
// select of cities has a field that narrows it, and a download tells how far it is, when it is done and when it failed.
(function () {
  'use strict';
  if (!window.fetch || !window.URL || !window.DOMParser || !window.AbortController || !window.history) return;

  /**
   * @param {string} id
   * @returns {HTMLElement | null}
   */
  function at(id) { return document.getElementById(id); }

  /**
   * A text as it is compared: lower case, without accents.
   * @param {string} text
   */
  function folded(text) {
    return text.normalize('NFD').replace(/[\u0300-\u036f]/g, '').toLowerCase();
  }

  // ---- The list: the same page is asked for, and of the answer these parts are shown.

  /** @type {AbortController | undefined} */
  var asking;

  /**
   * @param {string} address
   * @param {string[]} parts ids
   */
  function show(address, parts) {
    if (asking) asking.abort();
    var mine = asking = new AbortController();
    return fetch(address, { headers: { Accept: 'text/html' }, signal: mine.signal })
      .then(function (answer) {
        // Without a session it is another page, which says so.
        if (answer.redirected || !answer.ok) { location.assign(address); return; }
        return answer.text().then(function (text) {
          var page = new DOMParser().parseFromString(text, 'text/html');
          parts.forEach(function (id) {
            var old = at(id), fresh = page.getElementById(id);
            if (old && fresh) old.innerHTML = fresh.innerHTML;
          });
          history.replaceState(null, '', address);
        });
      })
      .catch(function (/** @type {Error} */ error) {
        if (error.name !== 'AbortError') location.assign(address);
      });
  }

  function listen() {
    var search = at('search');
    if (!(search instanceof HTMLFormElement)) return;
    var form = search;
    /** @type {number | undefined} */
    var timer;
    function find() {
      var pairs = Array.prototype.map.call(form.elements, function (/** @type {HTMLInputElement} */ field) {
        return field.name && field.value ? encodeURIComponent(field.name) + '=' + encodeURIComponent(field.value) : '';
      });
      show('/staff?' + pairs.filter(Boolean).join('&'), ['list', 'chart']);
    }
    form.addEventListener('submit', function (event) { event.preventDefault(); find(); });
    form.addEventListener('input', function () {
      clearTimeout(timer);
      timer = setTimeout(find, 250);
    });
  }

  document.addEventListener('click', function (event) {
    var link = event.target instanceof Element && event.target.closest('a[data-list]');
    if (!(link instanceof HTMLAnchorElement) || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    var address = link.getAttribute('href') || '';
    var drawn = /#totals$/.test(address);
    // The order is in the search form too, so that a later search keeps it.
    show(address.replace(/#.*/, ''), drawn ? ['listed'] : ['list', 'search']).then(function () {
      if (drawn) listen();
      var place = at(drawn ? 'totals' : 'list');
      if (place) { place.tabIndex = -1; place.focus({ preventScroll: true }); }
    });
  });

  // ---- The select: a field narrows it.

  function narrow() {
    var form = at('one-city'), select = at('city');
    if (!form || !(select instanceof HTMLSelectElement)) return;
    var all = Array.prototype.slice.call(select.options);
    var list = select;
    var label = document.createElement('label');
    label.htmlFor = 'narrow';
    label.textContent = form.dataset.filter || '';
    var field = document.createElement('input');
    field.type = 'search';
    field.id = 'narrow';
    field.autocomplete = 'off';
    var told = document.createElement('p');
    told.className = 'note';
    told.setAttribute('role', 'status');
    field.addEventListener('input', function () {
      var wanted = folded(field.value.trim());
      var fits = all.filter(function (/** @type {HTMLOptionElement} */ option) {
        return option.value && folded(option.text).indexOf(wanted) >= 0;
      });
      list.textContent = '';
      list.appendChild(all[0]);
      fits.forEach(function (option) { list.appendChild(option); });
      list.selectedIndex = wanted && fits.length === 1 ? 1 : 0;
      told.textContent = wanted ? fits.length + ' ' + (form && form.dataset.found) : '';
    });
    // Enter in it is not the form's.
    field.addEventListener('keydown', function (event) {
      if (event.key === 'Enter') { event.preventDefault(); list.focus(); }
    });
    var place = document.createElement('div');
    place.append(label, field);
    list.before(place);
    if (list.parentElement) list.parentElement.after(told);
  }

  // ---- Downloads.

  var panel = at('download');
  /** @type {AbortController | undefined} */
  var running;

  /** @param {number} bytes */
  function size(bytes) {
    var units = ['B', 'kB', 'MB', 'GB'], unit = 0;
    while (bytes >= 1000 && unit < 3) { bytes /= 1000; unit++; }
    return bytes.toLocaleString(document.documentElement.lang, { maximumFractionDigits: unit > 1 ? 1 : 0 }) + ' ' + units[unit];
  }

  /**
   * The name that the server gives the file.
   * @param {Response} answer
   */
  function named(answer) {
    var said = /filename\*=UTF-8''([^;]+)/.exec(answer.headers.get('Content-Disposition') || '');
    return said ? decodeURIComponent(said[1]) : 'padron';
  }

  /**
   * @param {string} text
   * @param {boolean} [wrong]
   */
  function say(text, wrong) {
    if (!panel) return;
    panel.textContent = '';
    var line = document.createElement('p');
    line.className = wrong ? 'error' : 'notice';
    line.textContent = text;
    panel.appendChild(line);
  }

  /**
   * @param {string} address
   * @param {HTMLElement | null} from where the focus goes back to
   */
  function download(address, from) {
    if (!panel) { location.assign(address); return; }
    if (running) running.abort();
    var mine = running = new AbortController();
    var words = panel.dataset;
    say(words.running || '');
    // The bar moves all the time and is not read out; the sentence is, at the start and at the end.
    var bar = document.createElement('progress');
    bar.setAttribute('aria-label', words.running || '');
    var far = document.createElement('span');
    far.setAttribute('aria-hidden', 'true');
    var cancel = document.createElement('button');
    cancel.type = 'button';
    cancel.className = 'second';
    cancel.textContent = words.cancel || '';
    cancel.addEventListener('click', function () { mine.abort(); });
    panel.append(bar, ' ', far, ' ', cancel);

    fetch(address, { headers: { Accept: 'application/json' }, signal: mine.signal })
      .then(function (answer) {
        // The server leads to the sign-in, and from there back to this download.
        if (answer.status === 401 || answer.redirected) { location.assign(address); return; }
        if (answer.status === 503) { say(words.busy || '', true); return; }
        if (!answer.ok || !answer.body) throw new Error(String(answer.status));
        var name = named(answer);
        var reader = answer.body.getReader();
        /** @type {BlobPart[]} */
        var pieces = [];
        var bytes = 0;
        /** @returns {Promise<void>} */
        function next() {
          return reader.read().then(function (piece) {
            if (!piece.done) {
              pieces.push(piece.value);
              bytes += piece.value.length;
              far.textContent = size(bytes);
              return next();
            }
            var file = new Blob(pieces, { type: answer.headers.get('Content-Type') || '' });
            var link = document.createElement('a');
            link.href = URL.createObjectURL(file);
            link.download = name;
            document.body.appendChild(link);
            link.click();
            link.remove();
            setTimeout(function () { URL.revokeObjectURL(link.href); }, 60000);
            say((words.done || '') + ' ' + name + ', ' + size(bytes));
            // A report has moved the numbers.
            return show(location.pathname + location.search, ['figures', 'list']);
          });
        }
        return next();
      })
      .catch(function (/** @type {Error} */ error) {
        say((error.name === 'AbortError' ? words.cancelled : words.failed) || '', error.name !== 'AbortError');
      })
      .then(function () {
        if (running === mine) running = undefined;
        if (from && document.activeElement === document.body) from.focus();
      });
  }

  document.addEventListener('click', function (event) {
    var link = event.target instanceof Element && event.target.closest('a[href^="/report."]');
    if (!(link instanceof HTMLAnchorElement) || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    download(link.getAttribute('href') || '', link);
  });
  var one = at('one-city');
  if (one instanceof HTMLFormElement) {
    var form = one;
    form.addEventListener('submit', function (event) {
      var button = event.submitter;
      var city = at('city');
      if (!(city instanceof HTMLSelectElement)) return;
      event.preventDefault();
      var to = button instanceof HTMLButtonElement && button.hasAttribute('formaction') ? button.formAction : form.action;
      download(new URL(to).pathname + '?city=' + encodeURIComponent(city.value) + '&lang=' + document.documentElement.lang, button);
    });
  }

  listen();
  narrow();
  var waiting = document.querySelector('a[data-start]');
  if (waiting instanceof HTMLAnchorElement) {
    var rest = new URL(location.href);
    rest.searchParams.delete('download');
    history.replaceState(null, '', rest.pathname + rest.search);
    download(waiting.getAttribute('href') || '', null);
  }
})();
