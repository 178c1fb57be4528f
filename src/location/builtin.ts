/** The schemes built in besides files, one line each. */
export { nbdScheme } from './nbd.js'
export { httpScheme } from './http.js'
export { sshScheme } from './ssh.js'
export { ociScheme } from './oci.js'
export { backupSetScheme } from './backup-set.js'
