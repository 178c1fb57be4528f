// Fills dist/bundle/code-cache for the Node that runs this (bin/load.js): runs the commands that people wait for on
// small images, so that what they compile is there when they run again.
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vdisk-code-cache-'))
const formats = ['qcow2', 'vhdx', 'vhd']
const cache = path.join(root, 'dist/bundle/code-cache')

const lines = [
  ...formats.map((format) => `convert a.raw a.${format}`),
  ...formats.map((format) => `convert a.${format} ${format}.raw --no-flush`),
  'convert a.qcow2 b.vhdx',
  'convert a.raw zlib.qcow2 --compress zlib --verify',
  'convert zlib.qcow2 zlib.raw',
  'info a.raw',
  ...formats.map((format) => `info a.${format}`),
  'info a.qcow2 --json',
  'check a.qcow2',
  'check a.vhdx',
  'compare a.raw a.qcow2',
  'hash a.raw',
  'hash a.vhdx --algorithm tree',
  'map a.qcow2',
  'measure a.raw --to qcow2',
  'inspect a.raw',
  'partition list a.raw',
  'create new.qcow2 64M',
  'formats',
  '--version',
]

try {
  for (const name of fs.existsSync(cache) ? fs.readdirSync(cache) : [])
    if (name.startsWith(`${process.version}-`)) fs.rmSync(path.join(cache, name))
  // More than is done without threads and buffers; with a hole.
  const content = Buffer.alloc(6 * 1024 * 1024)
  for (let at = 1024 * 1024; at < content.length; at += 512) content.writeUInt32LE(at, at)
  fs.writeFileSync(path.join(folder, 'a.raw'), content)
  for (const line of lines) {
    execFileSync(process.execPath, [path.join(root, 'bin/run.js'), ...line.split(' ')], {
      cwd: folder,
      env: { ...process.env, HOME: folder, VDISK_DATA_DIR: path.join(folder, 'none'), VDISK_CODE_CACHE: 'renew' },
      stdio: ['ignore', 'ignore', 'inherit'],
    })
  }
} finally {
  fs.rmSync(folder, { recursive: true, force: true })
}
