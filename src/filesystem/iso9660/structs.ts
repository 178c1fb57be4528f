import { ascii, bytes, struct, u16, u32, u8 } from '../../binary/struct.js'

/** ECMA-119, 8.4 and 8.5; numbers are stored in both byte orders. The second half of a descriptor is not used. */
export const descriptor = struct('little', 1024, {
  type: u8(0),
  mark: ascii(1, 5),
  systemId: ascii(8, 32),
  bootId: ascii(7, 32),
  volumeId: bytes(40, 32),
  blocks: u32(80),
  escapes: ascii(88, 3),
  blockSize: u16(128),
  root: bytes(156, 34),
  publisher: ascii(318, 128),
  application: ascii(574, 128),
  created: bytes(813, 17),
  modified: bytes(830, 17),
})
/** ECMA-119, 9.1: a record of a folder; the name follows. */
export const record = struct('little', 33, {
  length: u8(0),
  attributeBlocks: u8(1),
  block: u32(2),
  size: u32(10),
  time: bytes(18, 7),
  flags: u8(25),
  unitSize: u8(26),
  gapSize: u8(27),
  nameLength: u8(32),
})
/** SUSP 4.1: what each entry of the system use field begins with. */
export const useEntry = struct('little', 4, { signature: ascii(0, 2), length: u8(2) })
/** SUSP 5.1: where the field goes on. */
export const continuation = struct('little', 28, { block: u32(4), offset: u32(12), length: u32(20) })
/** RRIP 4.1.1; the number of the file is there since version 1.12. */
export const posixEntry = struct('little', 36, { mode: u32(4), links: u32(12), owner: u32(20), group: u32(28) })
export const posixEntryWithNumber = struct('little', 44, { number: u32(36) })
