import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { check } from '../../src/operations/check/check.js'
import { create } from '../../src/operations/transfer/create.js'
import { root } from '../support/cli.js'
import { testFolder } from '../support/folder.js'

/**
 * Each code of docs/findings.md is found by something in a test: by one of the damaged images of its format, which are
 * opened, checked in memory, and checked as files (test/support/damaged.ts), or by the test that is named here.
 */

/** The tests whose damaged images answer for a section. */
const damaged: Readonly<Record<string, readonly string[]>> = {
  VHD: ['vhd'],
  VHDX: ['vhdx'],
  QCOW2: ['qcow2'],
  'QCOW 1': ['qcow'],
  VDI: ['vdi'],
  'Every format': ['vhd', 'vhdx', 'qcow2', 'qcow', 'vdi'],
  VMDK: ['vmdk'],
  DMG: ['dmg'],
  'Forensic images (EWF)': ['ewf'],
  'Formats that are only read': [
    'read-only',
    'parallels',
    'parallels-bundle',
    'apple-sparse',
    'parts',
    'partclone',
    'ntfsclone',
    'clonezilla',
    'macrium',
    'ffu',
    'pbs',
  ],
}

/** What needs more than one damaged file: a chain, a set, a disk that cannot be read, a table. */
const elsewhere: Readonly<Record<string, string>> = {
  E_READ: 'unit/operations/check.test.ts',
  W_EXTENSION: 'unit/formats/open.test.ts',
  E_PART_EMPTY: 'unit/operations/check.test.ts',
  E_PART_SIZE: 'unit/operations/check.test.ts',
  W_PART_SECTOR: 'unit/operations/check.test.ts',
  W_ODD_LENGTH: 'unit/operations/check.test.ts',
  W_PARENT_CAPACITY: 'interop/vhd-parents.test.ts',
  W_PARENT_TIME: 'unit/operations/check.test.ts',
  W_PARENT_MODIFICATION: 'contract/findings.test.ts',
  W_SIZE_LIMIT: 'unit/formats/vhd-reader.test.ts',
  E_DATA_FILE: 'interop/damage-beside-disk.test.ts',
  W_AUTOCLEAR: 'unit/formats/qcow2-repair.test.ts',
  W_TABLE_IN_PARTITION: 'unit/operations/table-in-partition.test.ts',
  W_EBR_LOOP: 'hostile/partition-mbr.test.ts',
  W_EBR_RANGE: 'hostile/partition-mbr.test.ts',
  W_EBR_SIGNATURE: 'hostile/partition-mbr.test.ts',
  E_MANIFEST_DIGEST: 'unit/formats/ova.test.ts',
  W_MANIFEST_DIGEST: 'unit/formats/ova.test.ts',
  W_MANIFEST_NO_LINE: 'unit/formats/ova.test.ts',
  W_MANIFEST_FILE: 'unit/formats/ova.test.ts',
  W_MANIFEST_LINE: 'unit/formats/ova.test.ts',
  W_OVF_CAPACITY: 'unit/formats/ova.test.ts',
  W_OVF_SIZE: 'unit/formats/ova.test.ts',
  W_OVF_ORDER: 'unit/formats/ova.test.ts',
  W_TAR_END: 'hostile/damaged-ova.test.ts',
  W_CLUSTERS_MISSING: 'hostile/damaged-vma.test.ts',
  W_XVA_EMPTY: 'hostile/damaged-xva.test.ts',
  W_XVA_INCOMPLETE: 'hostile/damaged-xva.test.ts',
  W_TABLE_MADE: 'interop/windows-backup.test.ts',
  W_VOLUME_CHECKSUM: 'interop/ewf.test.ts',
  W_EXTENTS_OVERLAP: 'unit/formats/vmdk-read.test.ts',
}

/** Documented codes, by section. */
function documented(): { readonly section: string; readonly code: string }[] {
  const text = fs.readFileSync(join(root, 'docs/findings.md'), 'utf8')
  return text
    .split(/^## /m)
    .slice(1)
    .flatMap((part) => {
      const [section = '', ...lines] = part.split('\n')
      return lines
        .filter((line) => line.startsWith('| `'))
        .flatMap((line) => [...(line.split('|')[1] ?? '').matchAll(/`([EWL]_[A-Z0-9_]+)`/g)])
        .map(([, code = '']) => ({ section: section.trim(), code }))
    })
}

function names(test: string, code: string): boolean {
  const path = join(root, 'test', test)
  return fs.existsSync(path) && new RegExp(`\\b${code}\\b`).test(fs.readFileSync(path, 'utf8'))
}

test('every documented finding is found in a test', () => {
  const codes = documented()
  assert.ok(codes.length > 120)
  const missing = codes.filter(({ section, code }) => {
    const images = damaged[section] ?? []
    if (images.some((format) => names(`hostile/damaged-${format}.test.ts`, code))) return false
    if (section === 'VMDK' && names('unit/formats/vmdk-read.test.ts', code)) return false
    const where = elsewhere[code]
    return where === undefined || !names(where, code)
  })
  assert.deepEqual(missing, [])
})

test('what is listed as found elsewhere is documented', () => {
  const codes = new Set(documented().map(({ code }) => code))
  for (const code of Object.keys(elsewhere)) assert.ok(codes.has(code), code)
})

test('VDI: a child that does not record the state of its parent', async (t) => {
  const folder = testFolder(t)
  await create(join(folder, 'base.vdi'), { size: 2 ** 20 })
  await create(join(folder, 'child.vdi'), { parent: join(folder, 'base.vdi') })
  const file = fs.openSync(join(folder, 'child.vdi'), 'r+')
  // uuidParentModify of the header.
  fs.writeSync(file, Buffer.alloc(16), 0, 16, 0x1b8)
  fs.closeSync(file)
  const { layers } = await check(join(folder, 'child.vdi'))
  assert.ok(layers[0]?.groups.some(({ code }) => code === 'W_PARENT_MODIFICATION'))
})
