/** Names of hosts in the network. */
export const serverName = (server: number): string => `s${server}`;
export const clientName = (client: number): string => `c${client}`;
