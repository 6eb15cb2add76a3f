-- What people's clients say to all, told to the cards as well, so that who has no card in their
-- roster yet need not be asked: presence, and the vCard or avatar that they publish. It looks as it
-- would from another server.
--
-- XEP-0060 section 7.1.2.1, XEP-0084, XEP-0292; presence as in RFC 6121 section 4.

local st = require "util.stanza";
local jid_bare = require "util.jid".bare;
local mod_pep = module:depends("pep");

local cards = assert(module:get_option_string("cardsite_cards"), "cardsite_cards is not set");
local host = module.host;
local xmlns_event = "http://jabber.org/protocol/pubsub#event";
local VCARD, AVATAR, PICTURE = "urn:xmpp:vcard4", "urn:xmpp:avatar:metadata", "urn:xmpp:avatar:data";

-- Nobody hears that the cards are away.
local nowhere = { type = "local"; host = host; send = function () return true; end };

local function tell(stanza)
	module:send(stanza, nowhere);
end

local function tell_presence(session, presence)
	local copy = st.clone(presence);
	copy.attr.from, copy.attr.to = session.full_jid, cards;
	tell(copy);
end

-- Before Prosody's own handler, which lets no other follow.
module:hook("presence/bare", function (event)
	local session, stanza = event.origin, event.stanza;
	local to_all = stanza.attr.to == nil and session.full_jid;
	if to_all and (stanza.attr.type == nil or stanza.attr.type == "unavailable") then
		tell_presence(session, stanza);
	end
end, 10);

local function tell_presences(user)
	for _, session in pairs(user and user.sessions or {}) do
		if session.presence then tell_presence(session, session.presence); end
	end
end

-- The cards ask who is here, whoever is in a roster: of everybody when they have come back, of one
-- when they get to know them.
local function is_asked_by_cards(stanza)
	return stanza.attr.type == "probe" and stanza.attr.from == cards;
end

module:hook("presence/host", function (event)
	if not is_asked_by_cards(event.stanza) then return; end
	for _, user in pairs(prosody.hosts[host].sessions) do
		tell_presences(user);
	end
	return true;
end, 10);

module:hook("presence/bare", function (event)
	if not is_asked_by_cards(event.stanza) then return; end
	tell_presences(prosody.bare_sessions[event.stanza.attr.to]);
	return true;
end, 10);

-- Publishing

local function add(message, node, item)
	item = st.clone(item);
	item.attr.xmlns = nil;
	message:tag("items", { node = node }):add_child(item):up();
end

local function tell_published(event)
	local service, node = event.service, event.node;
	local message = st.message({ from = service.config.jid; to = cards; type = "headline" })
		:tag("event", { xmlns = xmlns_event });
	add(message, node, event.item);
	local metadata = event.item:get_child("metadata", AVATAR);
	if metadata and #metadata.tags > 0 then -- without any, the picture that was is taken away
		local ok, pictures = service:get_items(PICTURE, true, { event.id });
		if ok and pictures[event.id] then add(message, PICTURE, pictures[event.id]); end
	end
	tell(message);
end

module:handle_items("pep-service", function (event)
	for _, node in ipairs({ VCARD; AVATAR }) do
		event.item.service.events.add_handler("item-published/" .. node, tell_published);
	end
end, function () end);
