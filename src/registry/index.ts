/** Registry hives of Windows, and what is stored in them: boot stores, mounted devices. */
export { bcdElements, BcdStore, placePatches, type BcdDevice, type BcdObject, type StoredPlace } from './bcd.js'
export { isSamePlace, diskPlaceText, type DiskPlace } from './disk-place.js'
export type { HiveBytes } from './bytes.js'
export { openHive, type Hive, type HiveState } from './hive.js'
export type { HiveKey } from './key.js'
export { mountedDevice, mountedDeviceBytes } from './mounted-devices.js'
export type { HiveSpace } from './space.js'
export { valueTypes, type HivePatch, type HiveValue } from './value.js'
