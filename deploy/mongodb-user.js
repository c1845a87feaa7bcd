// padron's own account, made with the database: dbAdmin for collMod at every start, and no role outside of its database.
const url = new URL(require("fs").readFileSync("/run/secrets/padron_store", "utf8").trim());
db.getSiblingDB("padron").createUser({ user: url.username, pwd: url.password, roles: ["readWrite", "dbAdmin"] });
