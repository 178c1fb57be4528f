/** Appliances: archives with machines and disks in them, and descriptions beside their disks. */
export { ova } from './ova.js'
export { ovf } from './ovf.js'
