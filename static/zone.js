// Tells the form of signing up in which time zone the browser is, so that times are right from the
// first page on. Without it they are in UTC until somebody chooses another.
"use strict";

document.querySelector("[name=time_zone]").value = Intl.DateTimeFormat().resolvedOptions().timeZone;
