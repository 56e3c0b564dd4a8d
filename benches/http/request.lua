-- POST /get-online-features of ten features of so many entities, by random ids: wrk ... -- ENTITIES IDS
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"

local features = {}
for number = 0, 9 do features[#features + 1] = '"rows:f' .. number .. '"' end
local head = '{"features":[' .. table.concat(features, ",") .. '],"entities":{"id":['

function init(arguments)
  entities, ids = tonumber(arguments[1]), tonumber(arguments[2])
end

function request()
  local asked = {}
  for at = 1, entities do asked[at] = math.random(0, ids - 1) end
  return wrk.format(nil, nil, nil, head .. table.concat(asked, ",") .. "]}}")
end
