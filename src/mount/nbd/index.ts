export { ExportStore } from './export-store.js'
export { NbdServer, type Endpoint, type NbdServerOptions, type ServerTls } from './server.js'
export type { ServedDisk } from './served-disk.js'
export { nbdUri, parseNbdUri, type NbdAddress } from './uri.js'
