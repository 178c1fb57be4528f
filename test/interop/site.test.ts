import assert from 'node:assert/strict'
import fs from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { browser, browserMissing, complaints } from '../support/browser.js'
import { root } from '../support/cli.js'
import { skipReason } from '../support/complete.js'
import { testFolder } from '../support/folder.js'
import { listening } from '../support/ports.js'
import { runIn } from '../support/tools.js'

const site = join(root, 'site')
const skip =
  browserMissing() ??
  (fs.existsSync(join(site, 'node_modules/vitepress'))
    ? undefined
    : skipReason("the site's packages are not installed (npm ci --prefix site)"))

/** The files of a folder; a page is found without the end of its name. */
async function serving(t: TestContext, folder: string): Promise<string> {
  const types: Readonly<Record<string, string>> = { js: 'text/javascript', css: 'text/css', html: 'text/html' }
  const server = createServer((request, response) => {
    const path = join(folder, new URL(request.url ?? '/', 'http://x').pathname)
    const found = [path, `${path}.html`, join(path, 'index.html')].find((one) =>
      fs.statSync(one, { throwIfNoEntry: false })?.isFile(),
    )
    if (found === undefined) response.writeHead(404).end()
    else
      response
        .writeHead(200, {
          'Content-Type': types[found.slice(found.lastIndexOf('.') + 1)] ?? 'application/octet-stream',
        })
        .end(fs.readFileSync(found))
  })
  return `http://127.0.0.1:${await listening(t, server)}`
}

test('the site: every page of the manual, without dead links, on a phone and on a desk', { skip }, async (t) => {
  const folder = testFolder(t)
  // It fails where a link leads to no page.
  runIn(site, process.execPath, join(site, 'node_modules/vitepress/bin/vitepress.js'), 'build', '.', '--outDir', folder)
  const docs = join(root, 'docs')
  const pages = ['', 'tutorials/']
    .flatMap((part) => fs.readdirSync(join(docs, part)).map((name) => part + name))
    .filter((name) => name.endsWith('.md'))
    .map((name) => name.replace(/\.md$/, '').replace(/^README$/, ''))
  const url = await serving(t, folder)
  const context = await (await browser(t)).newContext()
  const page = await context.newPage()
  page.setDefaultTimeout(0)
  const found = complaints(page)
  for (const name of pages) {
    const source = fs.readFileSync(join(docs, `${name === '' ? 'README' : name}.md`), 'utf8')
    const title = /^# (.*)$/m.exec(source)?.[1] ?? ''
    await page.goto(`${url}/${name}`)
    assert.ok(
      (await page.locator('h1').first().innerText()).startsWith(title.replaceAll('`', '').slice(0, 12)),
      `${name}: its title is ${title}`,
    )
    for (const width of [400, 1400]) {
      await page.setViewportSize({ width, height: 900 })
      const wide = Number(await page.evaluate('document.documentElement.scrollWidth'))
      assert.ok(wide <= width, `${name} is ${wide} wide at ${width}`)
    }
  }
  await page.goto(`${url}/schemas`)
  assert.equal(await page.locator('li').count(), fs.readdirSync(join(docs, 'schemas')).length)
  assert.deepEqual(found, [])
})
