import { keepSecret } from '../../sys/secrets.js'

// Every command loads this for its addresses: nothing of the network is for here.

/** A blob of Azure's storage, by an address that is signed (a SAS). */
export interface SignedAddress {
  /** What it is, without what opens it: the same for every signature. */
  readonly identity: string
  /** A disk that is made by an upload: it is there, with its size, and can neither be made nor removed. */
  readonly isManagedDisk: boolean
}

/** Parameters of a blob's address that say which of its states is meant; all others belong to the signature. */
const states = ['snapshot', 'versionid']

/** What an address says; undefined where it is not one of a blob that is signed. */
export function signedAddress(url: URL): SignedAddress | undefined {
  const signature = url.searchParams.get('sig')
  if (signature === null || url.searchParams.get('sv') === null) return undefined
  for (const secret of [signature, encodeURIComponent(signature)]) keepSecret(secret, '…')
  keepSecret(url.search, '?…')
  const state = states.flatMap((name) => url.searchParams.get(name) ?? [])
  return {
    identity: JSON.stringify([`${url.origin}${url.pathname}`, ...state]),
    isManagedDisk: /^md-/i.test(url.hostname),
  }
}
