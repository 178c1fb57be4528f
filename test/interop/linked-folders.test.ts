import assert from 'node:assert/strict'
import fs from 'node:fs'
import test, { type TestContext } from 'node:test'
import { openFile, type OpenOptions } from '../../src/formats/open.js'
import { rebaseChain } from '../../src/operations/chain/rebase.js'
import { relinkChain } from '../../src/operations/chain/relink.js'
import { convert } from '../../src/operations/transfer/convert.js'
import { create } from '../../src/operations/transfer/create.js'
import { diskLike, readAll, sha256 } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { have, runIn } from '../support/tools.js'

const disk = diskLike(262144, 3)
const other = diskLike(262144, 4)

function content(path: string, options: OpenOptions = {}): string {
  using image = openFile(path, options)
  return sha256(readAll(image))
}

/** images → pool/images; out/os is disk, pool/out/os is other. */
async function linked(t: TestContext): Promise<string> {
  const top = testFolder(t)
  for (const name of ['pool/images', 'pool/out', 'out']) fs.mkdirSync(`${top}/${name}`, { recursive: true })
  fs.symlinkSync('pool/images', `${top}/images`)
  fs.writeFileSync(`${top}/a.raw`, disk)
  fs.writeFileSync(`${top}/b.raw`, other)
  for (const end of ['qcow2', 'vhdx', 'vhd']) {
    await convert(`${top}/a.raw`, `${top}/out/os.${end}`)
    await convert(`${top}/b.raw`, `${top}/pool/out/os.${end}`)
  }
  return top
}

test('a backing file and a data file of qemu-img are found where qemu-img finds them', async (t) => {
  if (!have(t, 'qemu-img')) return
  const top = await linked(t)
  const allowReferences = [`${top}/pool`, `${top}/out`]
  runIn(top, 'qemu-img', 'create', '-q', '-f', 'qcow2', '-b', '../out/os.qcow2', '-F', 'qcow2', 'images/q.qcow2')
  for (const path of [`${top}/images/q.qcow2`, `${top}/pool/images/q.qcow2`])
    assert.equal(content(path, { allowReferences }), sha256(other), path)
  // The text leads to out/d.bin, the system to pool/out/d.bin.
  runIn(top, 'qemu-img', 'convert', '-O', 'qcow2', '-o', 'data_file=pool/out/d.bin', 'b.raw', 'images/d.qcow2')
  fs.writeFileSync(`${top}/out/d.bin`, disk)
  runIn(top, 'qemu-img', 'amend', '-o', 'data_file=../out/d.bin', 'images/d.qcow2')
  assert.equal(content(`${top}/images/d.qcow2`, { allowReferences }), sha256(other))
})

test('what create, convert, rebase and relink record through a link is right when it is read', async (t) => {
  if (!have(t, 'qemu-img')) return
  const top = await linked(t)
  const allowReferences = [`${top}/pool`, `${top}/out`]
  for (const end of ['qcow2', 'vhdx', 'vhd']) {
    const child = `${top}/images/c.${end}`
    const ways = [child, `${top}/pool/images/c.${end}`, `${top}/images/../images/c.${end}`]
    const reads = (wanted: Uint8Array, what: string): void => {
      for (const way of ways) assert.equal(content(way, { allowReferences }), sha256(wanted), `${what}, by ${way}`)
      // qemu-img reads no differencing VHD and VHDX.
      if (end !== 'qcow2') return
      runIn(top, 'qemu-img', 'convert', '-O', 'raw', 'images/c.qcow2', 'read.raw')
      assert.equal(sha256(fs.readFileSync(`${top}/read.raw`)), sha256(wanted), `${what}, by qemu-img`)
    }
    const parents = [
      { path: `${top}/out/os.${end}`, holds: disk },
      { path: `${top}/images/../out/os.${end}`, holds: other },
    ]
    for (const { path: parent, holds } of parents) {
      await create(child, { parent, force: true })
      reads(holds, `create over ${parent}`)
      await convert(`${top}/b.raw`, child, { parent, force: true, verify: true, allowReferences })
      reads(other, `convert over ${parent}`)
      for (const onto of parents) {
        await rebaseChain(child, onto.path, { allowReferences })
        reads(other, `rebase onto ${onto.path}`)
      }
      await rebaseChain(child, parent, { allowReferences })
      relinkChain(child, parent, { allowReferences })
      reads(other, `relink to ${parent}`)
    }
  }
})
