export { quietConditions, type LinkConditions } from "./conditions.js";
export { Host, Link } from "./host.js";
export { NetMessage, type Diversion, type Leg, type NetLoss, type NetObserver } from "./message.js";
export { LinkNetwork } from "./network.js";
