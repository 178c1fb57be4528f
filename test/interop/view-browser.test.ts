import assert from 'node:assert/strict'
import fs from 'node:fs'
import { createRequire } from 'node:module'
import { basename, join } from 'node:path'
import test from 'node:test'
import type { Page } from 'playwright-core'
import { browser, browserMissing, complaints } from '../support/browser.js'
import { root, vdisk } from '../support/cli.js'
import { testFolder } from '../support/folder.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { viewing } from '../support/viewing.js'

const disk = join(root, 'fixtures/partitioned-disk.vhdx')
const noBrowser = browserMissing()
const axe = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const pages = ['', '1/', '1/files', '1/files?part=2&path=/etc', '1/check?start=deep', '1/doctor', '1/chain', 'restore/']

/** What keeps people with a screen reader or bad eyes from the page, as axe-core finds it. */
async function barriers(page: Page): Promise<string[]> {
  // The page's own policy lets no script in: axe runs in a world of its own.
  const session = await page.context().newCDPSession(page)
  const { frameTree } = await session.send('Page.getFrameTree')
  const { executionContextId } = await session.send('Page.createIsolatedWorld', { frameId: frameTree.frame.id })
  const expression = `${axe};axe.run(document).then(({ violations }) => violations.map((one) =>
    one.id + ': ' + one.nodes.map(({ html, failureSummary }) => html + ' ' + failureSummary).join(' | ')))`
  const { result, exceptionDetails } = await session.send('Runtime.evaluate', {
    expression,
    contextId: executionContextId,
    awaitPromise: true,
    returnByValue: true,
  })
  assert.equal(exceptionDetails, undefined)
  await session.detach()
  return result.value as string[]
}

test(
  'view in a browser: every page at every width, light and dark, without barriers',
  { skip: noBrowser },
  async (t) => {
    const cwd = testFolder(t)
    for (const args of [
      ['convert', disk, 'base.qcow2'],
      ['snapshot', 'create', 'base.qcow2', 'before-update'],
      ['create', 'child.qcow2', '--parent', 'base.qcow2'],
    ])
      assert.equal((await vdisk(args, { cwd })).code, 0)
    const [{ url }, started] = [await viewing(t, cwd, 'base.qcow2', 'child.qcow2', '--restore'), await browser(t)]
    for (const colorScheme of ['light', 'dark'] as const) {
      const context = await started.newContext({ colorScheme })
      const page = await context.newPage()
      // A busy machine is no failure.
      page.setDefaultTimeout(0)
      const found = complaints(page)
      for (const path of pages) {
        await page.setViewportSize({ width: 1000, height: 800 })
        await page.goto(url + path)
        assert.deepEqual(await barriers(page), [], `${path}, ${colorScheme}`)
        for (const width of [400, 700, 1600]) {
          await page.setViewportSize({ width, height: 800 })
          const wide = Number(await page.evaluate('document.documentElement.scrollWidth'))
          assert.ok(wide <= width, `${path} is ${wide} wide at ${width}`)
        }
      }
      assert.deepEqual(found, [])
      await context.close()
    }
  },
)

const restoring = noBrowser ?? loopsMissing()

test('view in a browser: restoring with the keyboard alone', { skip: restoring }, async (t) => {
  const cwd = testFolder(t)
  fs.copyFileSync(disk, join(cwd, 'server.vhdx'))
  const file = join(cwd, 'target.raw')
  fs.writeFileSync(file, '')
  fs.truncateSync(file, 64 << 20)
  const device = loopDevice(t, file)
  const [{ url }, started] = [await viewing(t, cwd, 'server.vhdx', '--restore'), await browser(t)]
  const page = await started.newPage()
  page.setDefaultTimeout(0)
  const found = complaints(page)
  const untouched = (): void =>
    assert.ok(
      fs.readFileSync(file).every((byte) => byte === 0),
      'something was written',
    )

  const plan = async (): Promise<void> => {
    await page.goto(`${url}restore/`)
    await page.getByRole('radio', { name: 'the whole disk' }).press('Space')
    await page.getByRole('radio', { name: `disk ${device}:` }).press('Space')
    await page.getByRole('button', { name: 'Show what would be done' }).press('Enter')
    await page.getByRole('heading', { name: 'Everything on this disk will be lost' }).waitFor()
  }
  // The disk that the system runs from, and the one that the image lies on, cannot be chosen.
  await page.goto(`${url}restore/`)
  const refused = await page.locator('input[name=device]:disabled').evaluateAll((all) => all.length)
  assert.ok(refused > 0, 'a disk that is in use is not offered')
  // Refused by the name that was typed.
  await plan()
  assert.deepEqual(await barriers(page), [])
  await page.getByLabel(/^Type the name/).fill('loop')
  await page.keyboard.press('Enter')
  await page.getByRole('alert').getByText('nothing was written').waitFor()
  untouched()
  // Refused by the person.
  await plan()
  await page.getByRole('button', { name: 'Do not' }).press('Enter')
  await page.getByRole('alert').getByText('was not confirmed').waitFor()
  untouched()
  await plan()
  await page.getByLabel(/^Type the name/).fill(basename(device))
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'Disk restored' }).waitFor()
  assert.match(await page.locator('main').innerText(), /read back from the medium/)
  assert.deepEqual(await barriers(page), [])
  assert.deepEqual(found, [])
  const compared = await vdisk(['compare', 'server.vhdx@2', `${device}@2`], { cwd })
  assert.equal(compared.code, 0, compared.stderr)
})
