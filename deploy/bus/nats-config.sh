#!/usr/bin/env bash
# Prints the nats-server configuration that follows from deploy/bus/permissions.
#
#   nats-config.sh HOST PORT STORE_DIR CA_FILE CERT_FILE KEY_FILE > nats.conf
#
# A client is known by the DNS name in its certificate; there is no default user and no password.
set -euo pipefail
host=$1 port=$2 store=$3 ca=$4 cert=$5 key=$6
table=$(dirname "${BASH_SOURCE[0]}")/permissions

cat <<EOF
server_name: signet
host: "$host"
port: $port
max_payload: 1MB
ping_interval: "20s"
write_deadline: "5s"
jetstream {
    store_dir: "$store"
    max_memory_store: 64MB
    max_file_store: 10GB
}
tls {
    ca_file: "$ca"
    cert_file: "$cert"
    key_file: "$key"
    verify_and_map: true
    timeout: 5
}
authorization {
    users = [
EOF

awk -F'|' '
function trim(text) { gsub(/^[ \t]+|[ \t]+$/, "", text); return text }
function add(list, subject) { return list (list == "" ? "" : ", ") "\"" subject "\"" }
function each(cell, prefix, suffix, list,    parts, n, i) {
    if (cell == "-") return list
    n = split(cell, parts, ",")
    for (i = 1; i <= n; i++) list = add(list, prefix parts[i] suffix)
    return list
}
function answer_all_callers(cell, list,    parts, n, i, names, k, m) {
    n = split(cell, parts, ",")
    for (i = 1; i <= n; i++) {
        m = split(callers[parts[i]], names, " ")
        for (k = 1; k <= m; k++) if (!seen[names[k]]++) list = add(add(list, "_INBOX." names[k] ".*"), "_INBOX." names[k] ".*.*")
    }
    return list
}
function durable(user, subject) { gsub(/\./, "-", subject); return user "-" subject }
/^#/ || /^[ \t]*$/ { next }
NR == FNR {
    n = split(trim($2), parts, ",")
    for (i = 1; i <= n; i++) if (parts[i] != "-") callers[parts[i]] = callers[parts[i]] " " trim($1)
    n = split(trim($5), parts, ",")
    for (i = 1; i <= n; i++) if (parts[i] !~ /^[~-]/) consumers[++consumer_count] = durable(trim($1), parts[i])
    next
}
{
    user = trim($1); calls = trim($2); serves = trim($3); announces = trim($4); hears = trim($5)
    # Nobody calls under another name than his own: callees know by it who asks.
    publish = each(calls, "signet.", "." user, "")
    publish = each(announces, "signet.event.", "", publish)
    subscribe = add("", "_INBOX." user ".>")
    subscribe = each(serves, "signet.", ".*", subscribe)
    if (user != "signetctl") subscribe = add(subscribe, "signet.health.report.*")
    if (announces != "-" || user == "signetctl") {
        publish = add(publish, "$JS.API.STREAM.INFO.SIGNET_EVENTS")
        publish = add(publish, "$JS.API.STREAM.CREATE.SIGNET_EVENTS")
    }
    # Who may make a consumer may have it deliver any event to any subject: so no service may, and signetctl migrate does it for them.
    for (i = 1; user == "signetctl" && i <= consumer_count; i++) {
        publish = add(publish, "$JS.API.CONSUMER.DURABLE.CREATE.SIGNET_EVENTS." consumers[i])
        publish = add(publish, "$JS.API.CONSUMER.CREATE.SIGNET_EVENTS." consumers[i])
        publish = add(publish, "$JS.API.CONSUMER.CREATE.SIGNET_EVENTS." consumers[i] ".>")
    }
    n = hears == "-" ? 0 : split(hears, subjects, ",")
    for (i = 1; i <= n; i++) {
        is_live = sub(/^~/, "", subjects[i])
        subscribe = add(subscribe, "signet.event." subjects[i])
        if (is_live) continue
        publish = add(publish, "$JS.API.CONSUMER.INFO.SIGNET_EVENTS." durable(user, subjects[i]))
        publish = add(publish, "$JS.API.CONSUMER.MSG.NEXT.SIGNET_EVENTS." durable(user, subjects[i]))
        publish = add(publish, "$JS.ACK.SIGNET_EVENTS." durable(user, subjects[i]) ".>")
    }
    # Who hears events gets each with a reply subject. allow_responses would keep them all for its whole time, and nats-server 2.9 walks them at
    # every message once they are 4096. So hearers answer whoever may call them (signetctl) by the name of the inbox.
    responses = "allow_responses: { max: 1, expires: \"60s\" }"
    if (hears != "-") {
        split("", seen)
        publish = answer_all_callers(serves ",health.report", publish)
        responses = ""
    }
    if (publish == "") publish = "deny: \">\""
    else publish = "allow: [" publish "]"
    printf "        {\n            user: \"%s\"\n            permissions: {\n", user
    printf "                publish: { %s }\n", publish
    printf "                subscribe: { allow: [%s] }\n", subscribe
    printf "                %s\n            }\n        }\n", responses
}' "$table" "$table"

cat <<'EOF'
    ]
}
EOF
