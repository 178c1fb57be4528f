/** Partition tables: read, judged, and written. */
export { readPartitionTable } from './read.js'
export { convertTable, type TableConversion, type TableConversionOptions } from './convert.js'
export { planMend, planMendFor, type IdChange, type Mend, type MendPlan } from './mend.js'
export { lastPartition, planGrowth, type PartitionGrowth } from './grow.js'
export { mbrWrites, type MbrLayout, type NewMbrPartition } from './mbr-write.js'
export { wrapPartition, wrappedCapacity, wrapStart, type TableWrapping } from './wrap.js'
export { within } from './occupied.js'
export { gapsOf, usableRange, type Gap } from './gaps.js'
export { openPartition, parseSelector, selectPartition, selectorText, type PartitionSelector } from './open.js'
export { readGpt, readGptCopy, gptEntry, type GptReading } from './gpt.js'
export {
  gptEntries,
  gptWrites,
  layoutOf,
  usableSectors,
  usualEntryCount,
  usualEntrySize,
  type GptLayout,
  type NewGptPartition,
} from './gpt-write.js'
export { chsBytes, entryBytes, masterBootRecord, protectiveMbr, readMbr } from './mbr.js'
export { gptType, gptTypeFor, isDynamicDiskType, mbrType, mbrTypeFor } from './type-names.js'
export type {
  Partition,
  PartitionTable,
  PartitionType,
  TableScheme,
  TableIssue,
  TableRun,
  TableWrite,
} from './types.js'
