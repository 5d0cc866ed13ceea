// int8 pictures on a canvas: blue above zero, orange below, nothing at zero (the theme's paper shows through).

/** Draws side² int8 of base64, row by row from the top. Strength is opacity, so colours hold in light and dark. `contour`
 * marks where the sign changes. */
export function paint(canvas: HTMLCanvasElement, data = "", side: number, contour = false): void {
  if (!data || canvas.width !== side) canvas.width = canvas.height = side; // clears it too
  if (!data || !side) return;
  const bytes = atob(data);
  const cells = new Int8Array(bytes.length);
  for (let at = 0; at < cells.length; at++) cells[at] = bytes.charCodeAt(at);
  const pixels = new Uint32Array(cells.length); // ABGR
  const crosses = (value: number, other = value) => value < 0 !== other < 0;
  cells.forEach((value, at) => {
    const edge = contour && (crosses(value, cells[at + side]) || ((at + 1) % side > 0 && crosses(value, cells[at + 1])));
    pixels[at] = edge ? 0xcc808080 : ((Math.abs(value) * 1.8) << 24) | (value > 0 ? 0xe08a1a : 0x1e7ce8);
  });
  canvas.getContext("2d")!.putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer), side), 0, 0);
}
