import fs from 'node:fs'
import path from 'node:path'
import { FileStore } from '../../src/block/file-store.js'
import { OverlaySource } from '../../src/block/overlay.js'
import type { BlockSource, ByteStore } from '../../src/block/types.js'
import { HostLocation } from '../../src/location/file.js'
import { builtinDrivers } from '../../src/formats/registry.js'
import type { DiskImage, OpenContext } from '../../src/formats/driver.js'

/** The driver that is certain of a file, else raw. */
export function formatOf(file: string): string {
  const bytes = fs.readFileSync(file)
  const head = bytes.subarray(0, 65536)
  const tail = bytes.subarray(Math.max(0, bytes.length - 65536))
  return builtinDrivers.find((driver) => driver.probe(head, tail, bytes.length) === 'certain')?.id ?? 'raw'
}

/** One layer of a file, its data file found in the same folder. */
export function openLayer(file: string, format = formatOf(file), context: Partial<OpenContext> = {}): DiskImage {
  const driver = builtinDrivers.find(({ id }) => id === format)
  if (driver === undefined) throw new Error(`no driver ${format}`)
  return driver.open(FileStore.openRead(file), {
    options: {},
    self: new HostLocation(file),
    openReference: (reference): ByteStore => FileStore.openRead(path.resolve(path.dirname(file), reference.path)),
    ...context,
  })
}

/** A file with its parents, without any of the guards that a user gets: for tests, on images the test made. */
export function openChain(file: string, format?: string, context: Partial<OpenContext> = {}): BlockSource {
  const layer = openLayer(file, format, context)
  const parent = layer.parentReference
  if (parent === undefined) return layer
  return new OverlaySource(layer, openChain(path.resolve(path.dirname(file), parent.paths[0]!), parent.format))
}
