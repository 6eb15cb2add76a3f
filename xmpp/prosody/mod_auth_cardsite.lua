-- People sign in to Prosody with what they have at Cardsite, which is asked over HTTP
-- (xmpp/door.py). It is also asked, every few seconds, which of those who are signed in may not be
-- any more: their sessions end. Nothing of it is kept here but who has ever signed in.
--
-- Providers of this kind: https://prosody.im/doc/developers/auth_providers

local array = require "util.array";
local async = require "util.async";
local http = require "net.http";
local json = require "util.json";
local new_sasl = require "util.sasl".new;
local promise = require "util.promise";
local set = require "util.set";
local usermanager = require "core.usermanager";

local door = assert(module:get_option_string("cardsite_door"), "cardsite_door is not set");
local secret = assert(module:get_option_string("cardsite_secret"), "cardsite_secret is not set");
local name_of_door = module:get_option_string("cardsite_host");
local looks_every = module:get_option_number("cardsite_looks_every", 5); -- seconds
local PATIENCE = 10; -- seconds
local AT_ONCE = 500; -- people that are asked about
local ACCOUNTS_EVERY = 3600; -- seconds

-- The person of each name, as Cardsite knows them.
local accounts = module:open_store("cardsite");
local host = module.host;

-- With all that is kept for them. Prosody also remembers rosters, by name.
local function forget(username)
	usermanager.delete_user(username, host);
	local rosters = prosody.hosts[host].roster_cache;
	if rosters then rosters:set(username .. "@" .. host, nil); end
end

-- What the door answers: a promise of its status and what it says. Rejected if nobody answers.
local function ask(what, said)
	local answer = http.request(door .. what, {
		body = json.encode(said);
		headers = {
			["Authorization"] = "Bearer " .. secret;
			["Content-Type"] = "application/json";
			["Host"] = name_of_door;
		};
	});
	local patience = promise.new(function (_, reject)
		module:add_timer(PATIENCE, function () reject("it does not answer"); end);
	end);
	return promise.race({ answer, patience }):next(function (response)
		return { code = response.code; said = json.decode(response.body or "") or {} };
	end);
end

-- SASL (RFC 4616, RFC 6120 section 6)

-- Whoever had this name before leaves nothing behind for who has it now.
local function take_over(username, person)
	local account = accounts:get(username);
	if account and account.person ~= person then
		module:log("info", "The name %s is another person's now", username);
		forget(username);
	end
	if not account or account.person ~= person then
		accounts:set(username, { person = person });
	end
end

-- Whether this is how they sign in; otherwise nil, and what to tell them.
local function sign_in(session, username, password)
	local said = { username = username; password = password; address = session.ip };
	local answer, err = async.wait_for(ask("sign-in", said));
	if not answer then
		module:log("error", "Nobody signs in, as %s did not answer: %s", door, err);
		return nil, "temporary-auth-failure";
	elseif answer.code == 429 then
		return nil, "temporary-auth-failure";
	elseif answer.code == 403 then
		return nil, "not-authorized";
	elseif answer.code ~= 200 then
		module:log("error", "Nobody signs in: %s answers %d", door, answer.code);
		return nil, "temporary-auth-failure";
	end
	take_over(username, answer.said.person);
	session.cardsite_key = answer.said.key;
	return true;
end

local function is_protected(session)
	return session.secure or session.ip == "127.0.0.1" or session.ip == "::1";
end

local provider = {};

function provider.get_sasl_handler(session)
	local refusal;
	local sasl = new_sasl(host, {
		plain_test = function (_, username, password)
			if not is_protected(session) then
				refusal = "encryption-required";
				return false, true;
			end
			local signed_in;
			signed_in, refusal = sign_in(session, username, password);
			return signed_in or false, true;
		end;
	});
	local process = sasl.process;
	function sasl:process(message)
		refusal = nil;
		local status, condition, text = process(self, message);
		return status, status == "failure" and refusal or condition, text;
	end
	function sasl.clean_clone() -- luacheck: ignore 212
		return provider.get_sasl_handler(session);
	end
	return sasl;
end

-- Somebody who has never signed in here is not here; who has an account at Cardsite is not told.
function provider.user_exists(username)
	return accounts:get(username) ~= nil;
end

function provider.users()
	return accounts:users();
end

function provider.delete_user(username)
	return accounts:set(username, nil);
end

local function refuse()
	return nil, "Accounts are made and changed at Cardsite.";
end

provider.test_password = refuse;
provider.set_password = refuse;
provider.create_user = refuse;

module:provides("auth", provider);

-- Who may not be signed in any more

local function sessions_of(username)
	local user = prosody.hosts[host].sessions[username];
	return user and user.sessions or {};
end

local function keys_of(username)
	local keys = array();
	for _, session in pairs(sessions_of(username)) do
		keys:push(session.cardsite_key);
	end
	return keys;
end

-- Those with one of these keys. They are gathered first: a session leaves the table as it is closed.
local function close_sessions(username, keys)
	local ended = set.new(keys);
	local closing = array();
	for _, session in pairs(sessions_of(username)) do
		if ended:contains(session.cardsite_key) then closing:push(session); end
	end
	for _, session in ipairs(closing) do
		session:close({ condition = "not-authorized"; text = "Signed out at Cardsite." });
	end
end

local function look_at(usernames)
	local people = array();
	for _, username in ipairs(usernames) do
		local account = accounts:get(username) or {};
		people:push({ username = username; person = account.person; keys = keys_of(username) });
	end
	return ask("signed-in", { people = people }):next(function (answer)
		for _, each in ipairs(answer.said.ended or {}) do
			close_sessions(each.username, each.keys);
		end
		for _, username in ipairs(answer.said.gone or {}) do
			module:log("info", "%s is gone, with all that was kept for them", username);
			forget(username);
		end
	end);
end

-- One after the other, from this place in the list on.
local function look_at_all(usernames, from)
	if from > #usernames then return promise.resolve(); end
	local to = math.min(from + AT_ONCE - 1, #usernames);
	return look_at(array({ table.unpack(usernames, from, to) })):next(function ()
		return look_at_all(usernames, to + 1);
	end);
end

local function keep_looking(names, pause, first)
	module:add_timer(first or pause, function ()
		look_at_all(array.collect(names()), 1):catch(function (err)
			module:log("warn", "%s did not say who is signed out: %s", door, err);
		end):finally(function ()
			keep_looking(names, pause);
		end);
	end);
end

keep_looking(function () return pairs(prosody.hosts[host].sessions); end, looks_every);
keep_looking(function () return accounts:users(); end, ACCOUNTS_EVERY, looks_every);
