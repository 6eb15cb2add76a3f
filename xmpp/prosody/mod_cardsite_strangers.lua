-- What somebody unknown may leave with a person here: no messages while they are away, and not
-- more requests than anybody would look through. Else whoever has a server could fill our disk.
--
-- RFC 6121, sections 3.1.3 and 8.5.2.2.

local jid_bare = require "util.jid".bare;
local jid_host = require "util.jid".host;
local jid_node = require "util.jid".node;
local rostermanager = require "core.rostermanager";

local cards = assert(module:get_option_string("cardsite_cards"), "cardsite_cards is not set");
local host = module.host;
local MOST_REQUESTS = 50;

local function is_of_this_house(jid)
	local from = jid_host(jid);
	return from == host or from == cards;
end

local function roster_of(stanza)
	return rostermanager.load_roster(jid_node(stanza.attr.to or stanza.attr.from), host);
end

module:hook("message/offline/handle", function (event)
	local from = event.stanza.attr.from;
	if is_of_this_house(from) or roster_of(event.stanza)[jid_bare(from)] then return; end
	return false; -- and they are told that nobody takes it
end, 10);

module:hook("presence/bare", function (event)
	local stanza = event.stanza;
	if stanza.attr.type ~= "subscribe" or is_of_this_house(stanza.attr.from) then return; end
	local waiting = 0;
	for _ in pairs(roster_of(stanza)[false].pending) do waiting = waiting + 1; end
	if waiting >= MOST_REQUESTS then return true; end
end, 10);
