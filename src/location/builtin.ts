/** The schemes built in besides files, one line each. */
export { nbdScheme } from './nbd.js'
