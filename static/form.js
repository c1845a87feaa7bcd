// The form works without this file. It adds four things: the list of cities while typing, the
// photo's size before sending, a keyboard of digits where a document has no letters, and one send per form. Written for old browsers (ES5).
(function () {
  'use strict';
  if (!document.addEventListener || !document.querySelector) return;
  var form = document.getElementById('registration');
  if (!form) return;

  function listCities(input, list) {
    var timer, request;

    function show(cities) {
      list.textContent = '';
      for (var i = 0; i < cities.length; i++) {
        var option = document.createElement('option');
        option.value = cities[i].name + ', ' + cities[i].department;
        list.appendChild(option);
      }
    }

    function ask() {
      var typed = input.value.trim();
      if (typed.length < 2) return;
      request = new XMLHttpRequest();
      request.open('GET', '/cities?q=' + encodeURIComponent(typed));
      request.onload = function () {
        if (this !== request || this.status !== 200) return;
        try { show(JSON.parse(this.responseText).cities); } catch (e) { /* typing goes on */ }
      };
      request.send();
    }

    function chosen() {
      for (var i = 0; i < list.childNodes.length; i++) {
        if (list.childNodes[i].value === input.value) return true;
      }
      return false;
    }

    input.addEventListener('input', function () {
      clearTimeout(timer);
      if (request) request.abort();
      if (!chosen()) timer = setTimeout(ask, 250);
    });
  }

  function tellSize(input, note) {
    function tell() {
      var file = input.files && input.files[0];
      var large = file && file.size > 10 * 1024 * 1024;
      var megabytes = file && Math.max(0.1, Math.round(file.size / 104857.6) / 10);
      note.className = large ? 'error' : 'note';
      note.textContent = !file ? '' : large ? input.getAttribute('data-too-large') :
        input.getAttribute('data-size') + ' ' + megabytes.toLocaleString(document.documentElement.lang) + ' MB';
    }
    input.addEventListener('change', tell);
    tell();
  }

  function keyboardOf(type, number) {
    function fit() {
      var letters = type.value === 'passport' || type.value === 'other';
      number.setAttribute('inputmode', letters ? 'text' : 'numeric');
    }
    type.addEventListener('change', fit);
    window.addEventListener('pageshow', fit);
    fit();
  }

  function sendOnce(button, note) {
    function sending(on) {
      button.disabled = on;
      note.textContent = on ? note.getAttribute('data-text') : '';
    }
    form.addEventListener('submit', function () { sending(true); });
    window.addEventListener('pageshow', function () { sending(false); });
  }

  var city = document.getElementById('city');
  var cities = document.getElementById('cities');
  if (cities) listCities(city, cities);
  tellSize(document.getElementById('photo'), document.getElementById('photo-note'));
  keyboardOf(document.getElementById('document_type'), document.getElementById('document_number'));
  sendOnce(form.querySelector('button'), document.getElementById('sending'));
})();
