-- One stanza from the cards to many of our people at once, and what they acknowledge, to the cards
-- at once: each stanza of its own would be read, routed and written as often as there are people.
--
-- In: <message from='CARDS' to='HOST'><multicast xmlns='urn:cardsite:multicast:1'><to>names or
-- name/resource, one a line</to>STANZA</multicast></message>
-- Out: <message from='HOST' to='CARDS'><acks xmlns='urn:cardsite:multicast:1'>id JID, one a
-- line</acks></message>

local st = require "util.stanza";
local split = require "util.jid".split;
local prep = require "util.jid".prep;

local xmlns = "urn:cardsite:multicast:1";
local cards = assert(module:get_option_string("cardsite_cards"), "cardsite_cards is not set");
local host = module.host;
local sessions, full_sessions = prosody.bare_sessions, prosody.full_sessions;
local blocklists = module:open_store("blocklist");
local TO = "\1"; -- in no stanza that was read

local FIRST = 200; -- before a look for whom somebody has blocked, which reads a file
local BREATH = 0.1; -- seconds that acknowledgements wait for others
local MOST = 500; -- acknowledgements in one stanza

module:add_feature(xmlns);

-- What was nested in another namespace is a stanza of its own again.
local function unnested(stanza)
	if stanza.attr.xmlns == "jabber:client" then stanza.attr.xmlns = nil; end
	for _, child in ipairs(stanza.tags) do unnested(child); end
	return stanza;
end

local function is_plain(session)
	local filters = session.filters and session.filters["stanzas/out"];
	return session.type == "c2s" and not (filters and #filters > 0);
end

-- Whether somebody has blocked anybody (XEP-0191); known for as long as they are here.
local function blocks(user, name)
	if user.cardsite_blocks == nil then
		user.cardsite_blocks = next(blocklists:get(name) or {}) ~= nil;
	end
	return user.cardsite_blocks;
end

local function forget_blocks(event)
	local user = sessions[event.origin.username.."@"..host];
	if user then user.cardsite_blocks = nil; end
end

module:hook("iq-set/self/urn:xmpp:blocking:block", forget_blocks, FIRST);
module:hook("iq-set/self/urn:xmpp:blocking:unblock", forget_blocks, FIRST);

-- The ordinary way; who is not here is dealt with there.
local function route(stanza, jid)
	local copy = st.clone(stanza);
	copy.attr.to = jid;
	module:send(copy);
end

-- To one session: the text is ready, unless somebody counts or changes its stanzas.
local function send(session, stanza, jid, ready)
	if not is_plain(session) then
		local copy = st.clone(stanza);
		copy.attr.to = jid;
		return session.send(copy);
	end
	return session.send(ready[1]..jid..ready[2]);
end

local function deliver(stanza, name, ready)
	local jid = name.."@"..host;
	if name:find("/", 1, true) then
		local bare, resource = name:match("^([^/]*)/(.*)$");
		jid = bare.."@"..host.."/"..resource;
		local user, session = sessions[bare.."@"..host], full_sessions[jid];
		if not session or blocks(user, bare) or not send(session, stanza, jid, ready) then
			route(stanza, jid);
		end
		return;
	end
	local user, sent = sessions[jid], false;
	if not user or blocks(user, name) then return route(stanza, jid); end
	for _, session in pairs(user.sessions) do
		if session.presence and (session.priority or 0) >= 0 then
			sent = send(session, stanza, jid, ready) or sent;
		end
	end
	if not sent then route(stanza, jid); end
end

module:hook("message/host", function (event)
	local multicast = event.stanza:get_child("multicast", xmlns);
	if not multicast or event.stanza.attr.from ~= cards then return; end
	local to, stanza = multicast:get_child_text("to") or "", nil;
	for _, child in ipairs(multicast.tags) do
		if child.attr.xmlns == "jabber:client" then stanza = unnested(child); end
	end
	local _, from_host = split(stanza and stanza.attr.from);
	if not stanza or from_host ~= cards then return true; end
	stanza.attr.to = TO;
	local text = tostring(stanza);
	local at = text:find(TO, 1, true);
	local ready = { text:sub(1, at - 1), text:sub(at + #TO) };
	for name in to:gmatch("[^\n]+") do
		if prep(name.."@"..host) or name:find("/", 1, true) then deliver(stanza, name, ready); end
	end
	return true;
end, 10);

-- Acknowledgements

local acks, waiting = {}, false;

local function flush()
	waiting = false;
	if #acks == 0 then return; end
	local text = table.concat(acks, "\n");
	acks = {};
	module:send(st.message({ from = host; to = cards })
		:tag("acks", { xmlns = xmlns }):text(text));
end

local function note(id, session)
	acks[#acks + 1] = id.." "..session.full_jid;
	if #acks >= MOST then
		flush();
	elseif not waiting then
		waiting = true;
		module:add_timer(BREATH, flush);
	end
end

local function is_for_cards(event)
	local _, to_host = split(event.stanza.attr.to);
	return to_host == cards and event.origin.full_jid;
end

local function receipt(event)
	local received = event.stanza:get_child("received", "urn:xmpp:receipts");
	local id = received and received.attr.id;
	if id and id:find("^[cm]%.[%x%.]+$") and is_for_cards(event) then
		note(id, event.origin);
		return true;
	end
end

local function answer(event)
	local attr = event.stanza.attr;
	if attr.type == "result" and attr.id and attr.id:find("^[cm]%.[%x%.]+$") and is_for_cards(event) then
		note(attr.id, event.origin);
		return true;
	end
end

-- To a contact, as clients do, or to where it speaks from; apps answer the cards themselves.
for _, to in ipairs({ "full"; "bare"; "host" }) do
	module:hook("pre-message/"..to, receipt, FIRST);
	module:hook("pre-iq/"..to, answer, FIRST);
end
