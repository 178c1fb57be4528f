/**
 * The formats and wrappers built in, one line each. Lists show them in the order of their names. What is exported here
 * is a `FormatDriver`, a `WrapperDriver`, and nothing else.
 */
export * from './compressed/index.js'
export { bochs } from './bochs/index.js'
export { cloop } from './cloop/index.js'
export { dmg } from './dmg/index.js'
export * from './ovf/index.js'
export { ewf } from './ewf/index.js'
export { parallels } from './parallels/index.js'
export { ntfsclone } from './ntfsclone/index.js'
export { partclone } from './partclone/index.js'
export { qcow } from './qcow/index.js'
export { qcow2 } from './qcow2/index.js'
export { qed } from './qed/index.js'
export { raw } from './raw/index.js'
export { simg } from './simg/index.js'
export { vdi } from './vdi/index.js'
export { vhd } from './vhd/index.js'
export { vhdx } from './vhdx/index.js'
export { vma } from './vma/index.js'
export { vmdk } from './vmdk/index.js'
export { xva } from './xva/index.js'
