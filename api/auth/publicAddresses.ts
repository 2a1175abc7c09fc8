import { lookup as resolve } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

/**
 * Addresses on the internet, and what a name must resolve to: whoever writes an address that Tenure is to call chooses what
 * answers, and must not reach by it what only this machine or its network reaches (metadata of a cloud, an admin's page).
 */

/** RFC 6890 and the registries it made: what is not routed on the internet, as network and prefix. */
const ipv4 = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24'],
  ...[
    '192.0.2.0/24',
    '192.168.0.0/16',
    '198.18.0.0/15',
    '198.51.100.0/24',
    '203.0.113.0/24',
    '224.0.0.0/4',
    '240.0.0.0/4',
  ],
];
/** The first and `2001::`, `2002::` carry addresses of IPv4 in ways that nobody needs any more. */
const ipv6 = [
  '::/96',
  '64:ff9b:1::/48',
  '100::/64',
  '2001::/23',
  '2001:db8::/32',
  '2002::/16',
  'fc00::/7',
  'fe80::/9',
  'ff00::/8',
];

const elsewhere = new BlockList();
for (const range of ipv4) {
  const [network = '', prefix = ''] = range.split('/');
  elsewhere.addSubnet(network, Number(prefix), 'ipv4');
  // RFC 6052: the same through a translator of the network's.
  elsewhere.addSubnet(`64:ff9b::${network}`, 96 + Number(prefix), 'ipv6');
}
for (const range of ipv6) {
  const [network = '', prefix = ''] = range.split('/');
  elsewhere.addSubnet(network, Number(prefix), 'ipv6');
}

/** Whether this is an IP address on the internet. An IPv4 address that is written as IPv6 counts as what it is. */
export function isPublicAddress(address: string): boolean {
  const family = isIP(address);
  return family !== 0 && !elsewhere.check(address, family === 6 ? 'ipv6' : 'ipv4');
}

/** The address that a URL names by itself, without a name to resolve. */
export function literalAddress({ hostname }: URL): string | undefined {
  const address = hostname.replace(/^\[|\]$/g, '');
  return isIP(address) === 0 ? undefined : address;
}

/** Plain http and addresses of this machine are for an installation of this machine. */
export function isOnLoopback(url: string): boolean {
  return ['127.0.0.1', 'localhost', '[::1]'].includes(new URL(url).hostname);
}

/** A name leads, or led, to an address that is not on the internet. */
export class AddressNotPublic extends Error {
  override readonly name = 'AddressNotPublic';
}

/**
 * Resolves a name for the connection that is made to what it returns, so that nothing can resolve otherwise in between. One
 * address that is not public among several refuses them all.
 */
export const lookupPublic: LookupFunction = (hostname, options, callback) =>
  resolve(hostname, options, (error, found, family) => {
    if (error !== null) return callback(error, found, family);
    const addresses = typeof found === 'string' ? [found] : found.map(({ address }) => address);
    if (addresses.every(isPublicAddress)) return callback(null, found, family);
    callback(new AddressNotPublic(`${hostname} is not on the internet.`), found, family);
  });
