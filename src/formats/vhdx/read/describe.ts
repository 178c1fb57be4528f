import type { Fact, Section } from '../../../block/types.js'
import { printable } from '../../../errors.js'
import { payloadState } from '../format/entries.js'
import type { Replay } from '../format/log.js'
import { fileIdentifier, header as headerStruct, prefixed } from '../format/structs.js'
import type { Structures } from '../format/structures.js'

/** What `info` says of a VHDX; every structure's fields are in the sections. */
export function describeImage(structures: Structures, subformat: string): Section[] {
  const { header, regions, metadata, replay } = structures
  const sections: Section[] = [
    {
      title: 'VHDX',
      facts: imageFacts(structures, subformat),
      fields: prefixed('fileIdentifier', fileIdentifier.rows(header.identifier, 0)),
    },
    {
      title: 'Header',
      facts: [
        { name: 'position', value: header.position, unit: 'bytes' },
        { name: 'sequenceNumber', value: header.values.sequenceNumber },
        { name: 'version', value: header.values.version },
      ],
      fields: prefixed('', headerStruct.rows(header.bytes, header.position)),
    },
    { title: 'Log', facts: [...logFacts(structures), ...(replay === undefined ? [] : replayFacts(replay))] },
    { title: 'Regions', facts: regionFacts(structures), fields: regions.rows() },
    { title: 'Blocks', facts: blockFacts(structures) },
    {
      title: 'Metadata',
      facts: [{ name: 'virtualDiskSize', value: metadata.capacity, unit: 'bytes' }],
      fields: metadata.rows(),
    },
  ]
  if (metadata.parentLocator !== undefined) {
    sections.push({
      title: 'Parent locator',
      facts: [...metadata.parentLocator.entries].map(([key, value]) => ({
        name: printable(key),
        label: printable(key),
        value: printable(value),
      })),
    })
  }
  return sections
}

function imageFacts({ header, metadata }: Structures, subformat: string): Fact[] {
  return [
    { name: 'creator', value: printable(header.creator) },
    { name: 'subformat', value: subformat },
    { name: 'virtualDiskId', label: 'virtual disk id (page 83)', value: metadata.virtualDiskId },
    { name: 'dataWriteGuid', label: 'data write GUID', value: header.values.dataWriteGuid },
    { name: 'fileWriteGuid', label: 'file write GUID', value: header.values.fileWriteGuid },
    { name: 'blockSize', value: metadata.blockSize, unit: 'bytes' },
    { name: 'logicalSectorSize', value: metadata.logicalSectorSize, unit: 'bytes' },
    { name: 'physicalSectorSize', value: metadata.physicalSectorSize, unit: 'bytes' },
    { name: 'leaveBlocksAllocated', value: metadata.leaveBlocksAllocated },
  ]
}

function regionFacts({ regions }: Structures): Fact[] {
  return [
    { name: 'tablePosition', value: regions.position, unit: 'bytes' },
    ...regions.regions.flatMap((region, index): Fact[] => {
      const name = region === regions.bat ? 'bat' : region === regions.metadata ? 'metadata' : `region${index}`
      return [
        { name: `${name}Position`, label: `${region.name}, position`, value: region.position, unit: 'bytes' },
        { name: `${name}Length`, label: `${region.name}, length`, value: region.length, unit: 'bytes' },
      ]
    }),
  ]
}

function blockFacts({ geometry, survey }: Structures): Fact[] {
  const blocks = (state: number): number => survey.states[state] ?? 0
  return [
    { name: 'payloadBlocks', value: geometry.payloadBlocks, unit: 'count' },
    { name: 'notPresent', value: blocks(payloadState.notPresent), unit: 'count' },
    { name: 'undefined', value: blocks(payloadState.undefined), unit: 'count' },
    { name: 'zero', value: blocks(payloadState.zero), unit: 'count' },
    { name: 'unmapped', value: blocks(payloadState.unmapped), unit: 'count' },
    { name: 'fullyPresent', value: blocks(payloadState.fullyPresent), unit: 'count' },
    { name: 'partiallyPresent', value: blocks(payloadState.partiallyPresent), unit: 'count' },
    { name: 'reservedStates', value: blocks(4) + blocks(5), unit: 'count' },
    { name: 'sectorBitmaps', value: survey.bitmaps, unit: 'count' },
    { name: 'chunkRatio', value: geometry.chunkRatio, unit: 'count' },
  ]
}

function logFacts({ header, replay }: Structures): Fact[] {
  return [
    {
      name: 'logState',
      label: 'state',
      value: !header.dirty ? 'clean' : replay === undefined ? 'ignored' : 'replayed in memory',
    },
    { name: 'logPosition', label: 'position', value: header.logOffset, unit: 'bytes' },
    { name: 'logLength', label: 'length', value: header.logLength, unit: 'bytes' },
    { name: 'logGuid', label: 'GUID', value: header.values.logGuid },
  ]
}

function replayFacts(replay: Replay): Fact[] {
  return [
    { name: 'logEntries', label: 'entries replayed', value: replay.entries, unit: 'count' },
    { name: 'logDataSectors', label: 'data sectors', value: replay.dataSectors, unit: 'count' },
    { name: 'logZeroRanges', label: 'zero ranges', value: replay.zeroRanges, unit: 'count' },
    { name: 'logFirstSequenceNumber', label: 'first sequence number', value: replay.firstSequenceNumber },
    { name: 'logLastSequenceNumber', label: 'last sequence number', value: replay.lastSequenceNumber },
  ]
}
