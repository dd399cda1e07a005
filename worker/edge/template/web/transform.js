// From pixels to the network's input, as the model was trained to see images: numbers alone, no DOM.
//
// A canvas scales differently from browser to browser, so the filters are written out: OpenCV's are
// equal to OpenCV's in every pixel, and Pillow's to Pillow's.

const PILLOW = {
  bilinear: { reach: 1, at: (x) => Math.max(0, 1 - Math.abs(x)) },
  box: { reach: 0.5, at: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  hamming: {
    reach: 1,
    at: (x) => (Math.abs(x) < 1 ? sinc(x) * (0.54 + 0.46 * Math.cos(Math.PI * x)) : 0),
  },
  bicubic: { reach: 2, at: keys },
  lanczos: { reach: 3, at: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
};
PILLOW.area = PILLOW.box;

const PILLOW_UNIT = 2 ** 22; // of Pillow's weights, which are whole numbers
const OPENCV_UNIT = 2 ** 11;

/**
 * Scale, crop and normalise.
 *
 * @param {Uint8ClampedArray} rgba - pixels as a canvas gives them.
 * @param {object} model - what model.json says.
 * @returns {Float32Array} three planes, one after the other.
 * @throws {Error} the image is smaller than the crop.
 */
export function prepare(rgba, width, height, model) {
  const size = targetSize(width, height, model.resize);
  const part = centre(size, model.crop);
  const rgb = scale(rgba, [width, height], size, part, model.resize);
  const order = model.channels === "BGR" ? [2, 1, 0] : [0, 1, 2];
  const pixels = part.width * part.height;
  const planes = new Float32Array(3 * pixels);
  order.forEach((channel, plane) => {
    // In float32, as numpy computes it.
    const std = Math.fround(model.std[plane]);
    const alpha = Math.fround(Math.fround(model.scale) / std);
    const beta = Math.fround(Math.fround(model.mean[plane]) / std);
    for (let i = 0; i < pixels; i += 1) {
      planes[plane * pixels + i] = Math.fround(rgb[3 * i + channel] * alpha) - beta;
    }
  });
  return planes;
}

function targetSize(width, height, resize) {
  if (!resize) return [width, height];
  if (resize.short === null) return resize.size;
  const factor = resize.short / Math.min(width, height);
  return [halfToEven(width * factor), halfToEven(height * factor)];
}

function centre([width, height], crop) {
  if (!crop) return { left: 0, top: 0, width, height };
  const left = Math.floor((width - crop.width) / 2);
  const top = Math.floor((height - crop.height) / 2);
  if (left < 0 || top < 0) {
    throw new Error(
      `The image is ${width} x ${height} pixels, and the model needs ${crop.width} x ` +
        `${crop.height}: take a larger one.`,
    );
  }
  return { left, top, width: crop.width, height: crop.height };
}

/** The part of the scaled image, as `[height * width * 3]` bytes. */
function scale(rgba, source, target, part, resize) {
  const across = { first: part.left, count: part.width };
  const down = { first: part.top, count: part.height };
  if (source[0] === target[0] && source[1] === target[1]) {
    return pick(rgba, source[0], places(across), places(down));
  }
  if (resize.filter === "nearest") {
    const nearest = resize.backend === "pil" ? pillowNearest : opencvNearest;
    return pick(rgba, source[0], nearest(source[0], target[0], across),
      nearest(source[1], target[1], down));
  }
  if (resize.backend === "pil") {
    return pillow(rgba, source, target, across, down, PILLOW[resize.filter]);
  }
  return bilinear(rgba, source, target, across, down);
}

const places = ({ first, count }) => Array.from({ length: count }, (_, i) => first + i);

function opencvNearest(source, target, wanted) {
  const step = 1 / (target / source);
  return places(wanted).map((place) => Math.min(Math.floor(place * step), source - 1));
}

/** Pillow adds up steps, so its places are off by rounding, which decides between two pixels. */
function pillowNearest(source, target, { first, count }) {
  const step = source / target;
  const taken = [];
  for (let place = 0, at = step * 0.5; place < first + count; place += 1, at += step) {
    if (place >= first) taken.push(Math.min(Math.floor(at), source - 1));
  }
  return taken;
}

function pick(rgba, width, columns, rows) {
  const rgb = new Uint8ClampedArray(3 * columns.length * rows.length);
  let at = 0;
  for (const row of rows) {
    for (const column of columns) {
      const from = 4 * (row * width + column);
      for (let channel = 0; channel < 3; channel += 1) rgb[at++] = rgba[from + channel];
    }
  }
  return rgb;
}

/** OpenCV's INTER_LINEAR: whole numbers, with weights of 11 bits. */
function bilinear(rgba, [width, height], [newWidth, newHeight], across, down) {
  const columns = linearWeights(width, newWidth, across);
  const rows = linearWeights(height, newHeight, down);
  const rgb = new Uint8ClampedArray(3 * across.count * down.count);
  let at = 0;
  for (const row of rows) {
    const upper = row.first * width;
    const lower = row.second * width;
    for (const column of columns) {
      for (let c = 0; c < 3; c += 1) {
        const left = 4 * column.first + c;
        const right = 4 * column.second + c;
        const above =
          rgba[4 * upper + left] * column.near + rgba[4 * upper + right] * column.far;
        const below =
          rgba[4 * lower + left] * column.near + rgba[4 * lower + right] * column.far;
        rgb[at++] = ((((above >> 4) * row.near) >> 16) + (((below >> 4) * row.far) >> 16) + 2) >> 2;
      }
    }
  }
  return rgb;
}

function linearWeights(source, target, wanted) {
  const step = 1 / (target / source);
  const last = source - 1;
  const clip = (place) => Math.min(Math.max(place, 0), last);
  return places(wanted).map((place) => {
    const at = Math.fround((place + 0.5) * step - 0.5);
    const first = Math.floor(at);
    const share = Math.fround(at - first);
    return {
      first: clip(first),
      second: clip(first + 1),
      near: halfToEven(Math.fround(1 - share) * OPENCV_UNIT),
      far: halfToEven(share * OPENCV_UNIT),
    };
  });
}

/** Pillow's filters: along rows, then along columns, with rounding to bytes in between. */
function pillow(rgba, [width, height], [newWidth, newHeight], across, down, filter) {
  const columns = pillowWeights(width, newWidth, across, filter);
  const rows = pillowWeights(height, newHeight, down, filter);
  const top = rows[0].first;
  const bottom = Math.max(...rows.map((row) => row.first + row.weights.length));
  const lines = new Uint8ClampedArray(3 * across.count * (bottom - top));
  let at = 0;
  for (let y = top; y < bottom; y += 1) {
    for (const { first, weights } of columns) {
      for (let c = 0; c < 3; c += 1) {
        let sum = PILLOW_UNIT / 2;
        let from = 4 * (y * width + first) + c;
        for (const weight of weights) {
          sum += rgba[from] * weight;
          from += 4;
        }
        lines[at++] = Math.floor(sum / PILLOW_UNIT);
      }
    }
  }
  const line = 3 * across.count;
  const rgb = new Uint8ClampedArray(line * down.count);
  at = 0;
  for (const { first, weights } of rows) {
    for (let x = 0; x < line; x += 1) {
      let sum = PILLOW_UNIT / 2;
      let from = (first - top) * line + x;
      for (const weight of weights) {
        sum += lines[from] * weight;
        from += line;
      }
      rgb[at++] = Math.floor(sum / PILLOW_UNIT);
    }
  }
  return rgb;
}

function pillowWeights(source, target, wanted, filter) {
  // Pillow leaves a side that keeps its length as it is.
  if (source === target) return places(wanted).map((first) => ({ first, weights: [PILLOW_UNIT] }));
  const step = source / target;
  const stretch = Math.max(step, 1);
  const reach = filter.reach * stretch;
  return places(wanted).map((place) => {
    const middle = (place + 0.5) * step;
    const first = Math.max(Math.trunc(middle - reach + 0.5), 0);
    const behind = Math.min(Math.trunc(middle + reach + 0.5), source);
    const shares = [];
    for (let x = first; x < behind; x += 1) {
      shares.push(filter.at((x - middle + 0.5) * (1 / stretch)));
    }
    const total = shares.reduce((sum, share) => sum + share, 0);
    const weights = shares.map((share) => {
      const weight = (share / total) * PILLOW_UNIT;
      return Math.trunc(weight + (weight < 0 ? -0.5 : 0.5));
    });
    return { first, weights };
  });
}

/** Keys's cubic with a = -0.5, as Pillow computes it. */
function keys(signed) {
  const x = Math.abs(signed);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * -0.5;
  return 0;
}

function sinc(x) {
  if (x === 0) return 1;
  return Math.sin(Math.PI * x) / (Math.PI * x);
}

function halfToEven(number) {
  const rounded = Math.round(number);
  return rounded - number === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}
